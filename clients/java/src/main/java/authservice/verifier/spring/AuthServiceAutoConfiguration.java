package authservice.verifier.spring;

import authservice.verifier.AuthException;
import authservice.verifier.Verifier;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.security.authentication.AuthenticationManager;
import org.springframework.security.authentication.BadCredentialsException;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.UsernamePasswordAuthenticationFilter;
import org.springframework.web.bind.annotation.ControllerAdvice;
import org.springframework.web.bind.annotation.ExceptionHandler;

/**
 * A {@link Verifier} from {@code auth-service.*}, and a filter chain that asks for a live session everywhere. An
 * application with rules of its own makes its own {@link SecurityFilterChain} of {@link #protect}.
 */
@AutoConfiguration(
        beforeName = {
            "org.springframework.boot.autoconfigure.security.servlet.SecurityAutoConfiguration",
            "org.springframework.boot.autoconfigure.security.servlet.UserDetailsServiceAutoConfiguration"
        })
@ConditionalOnWebApplication(type = ConditionalOnWebApplication.Type.SERVLET)
@ConditionalOnClass(HttpSecurity.class)
@EnableConfigurationProperties(AuthServiceProperties.class)
public class AuthServiceAutoConfiguration {
    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    Verifier authServiceVerifier(AuthServiceProperties properties) {
        return new Verifier(properties.options());
    }

    /** This application knows no passwords. Without it Spring Boot makes a user of its own, and prints the password. */
    @Bean
    @ConditionalOnMissingBean
    AuthenticationManager authServiceNoPasswords() {
        return authentication -> {
            throw new BadCredentialsException("sign in at the auth service");
        };
    }

    @Bean
    @ConditionalOnMissingBean
    SecurityFilterChain authServiceFilterChain(HttpSecurity http, Verifier verifier) throws Exception {
        return protect(http, verifier).authorizeHttpRequests(rules -> rules.anyRequest().authenticated()).build();
    }

    @Bean
    @ConditionalOnMissingBean
    Refusals authServiceRefusals() {
        return new Refusals();
    }

    /** Answers what a controller's own {@link Verifier#verifyHeader} throws, before a handler of every exception. */
    @ControllerAdvice
    @Order(0)
    static class Refusals {
        @ExceptionHandler
        void refused(AuthException refusal, HttpServletResponse response) throws IOException {
            SessionFilter.answer(response, refusal);
        }
    }

    /**
     * Live sessions sign in, nothing is kept between requests, and refusals are problems. What the application
     * answers with an error reaches every caller: only the server dispatches errors.
     */
    public static HttpSecurity protect(HttpSecurity http, Verifier verifier) throws Exception {
        return http.csrf(csrf -> csrf.disable())
                .sessionManagement(sessions -> sessions.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
                .addFilterBefore(new SessionFilter(verifier), UsernamePasswordAuthenticationFilter.class)
                .authorizeHttpRequests(rules -> rules.dispatcherTypeMatchers(DispatcherType.ERROR).permitAll())
                .exceptionHandling(refusals -> refusals
                        .authenticationEntryPoint((request, response, error) ->
                                SessionFilter.answer(response, AuthException.missing()))
                        .accessDeniedHandler((request, response, error) ->
                                SessionFilter.answer(response, AuthException.role())));
    }
}
