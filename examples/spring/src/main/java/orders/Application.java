package orders;

import authservice.verifier.AuthException;
import authservice.verifier.Check;
import authservice.verifier.Identity;
import authservice.verifier.Verifier;
import authservice.verifier.spring.AuthServiceAutoConfiguration;
import java.util.List;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.context.ServletWebServerInitializedEvent;
import org.springframework.context.annotation.Bean;
import org.springframework.context.event.EventListener;
import org.springframework.http.HttpStatus;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** A service that accepts the auth service's access tokens, with Spring Boot. */
@SpringBootApplication
@RestController
public class Application {
    private final Verifier verifier;

    Application(Verifier verifier) {
        this.verifier = verifier;
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Application.class, arguments);
    }

    /** All routes but `/health` need a live session. Without rules of its own, an application omits this bean. */
    @Bean
    static SecurityFilterChain rules(HttpSecurity http, Verifier verifier) throws Exception {
        return AuthServiceAutoConfiguration.protect(http, verifier)
                .authorizeHttpRequests(rules -> rules.requestMatchers("/health").permitAll().anyRequest().authenticated())
                .build();
    }

    @EventListener
    void listening(ServletWebServerInitializedEvent event) {
        System.out.println("listening on 127.0.0.1:" + event.getWebServer().getPort());
    }

    @GetMapping("/health")
    Map<String, Object> health() {
        return Map.of("status", "ok", "eventsUpToDate", verifier.status().upToDate());
    }

    @GetMapping("/orders")
    Map<String, Object> orders(@AuthenticationPrincipal Identity caller) {
        return Map.of("caller", view(caller), "orders", List.of());
    }

    /** Accepting a session that has just ended would cost more here than a query to the auth service. */
    @PostMapping("/payments")
    @ResponseStatus(HttpStatus.CREATED)
    Map<String, Object> payments(@RequestHeader("Authorization") String authorization) throws AuthException {
        return Map.of("caller", view(verifier.verifyHeader(authorization, Check.EXACT)));
    }

    private static Map<String, String> view(Identity caller) {
        return Map.of("user", caller.userId(), "session", caller.sessionId(), "role", caller.role());
    }
}
