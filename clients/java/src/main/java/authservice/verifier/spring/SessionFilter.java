package authservice.verifier.spring;

import authservice.verifier.AuthException;
import authservice.verifier.Check;
import authservice.verifier.Identity;
import authservice.verifier.Verifier;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.springframework.http.HttpHeaders;
import org.springframework.security.authentication.UsernamePasswordAuthenticationToken;
import org.springframework.security.core.authority.SimpleGrantedAuthority;
import org.springframework.security.core.context.SecurityContext;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.web.context.RequestAttributeSecurityContextRepository;
import org.springframework.security.web.context.SecurityContextRepository;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Signs the caller of a request in whose session is live: the principal is an {@link Identity}, the authority
 * {@code ROLE_<role>}. A token that is no good is answered here; a request without one goes on, and the rules of the
 * application decide.
 */
public final class SessionFilter extends OncePerRequestFilter {
    private static final SecurityContextRepository CONTEXTS = new RequestAttributeSecurityContextRepository();

    private final Verifier verifier;

    /** Checks with that verifier. */
    public SessionFilter(Verifier verifier) {
        this.verifier = verifier;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        String authorization = request.getHeader(HttpHeaders.AUTHORIZATION);
        if (authorization != null) {
            try {
                signIn(verifier.verifyHeader(authorization, Check.ANY), request, response);
            } catch (AuthException refusal) {
                answer(response, refusal);
                return;
            }
        }
        chain.doFilter(request, response);
    }

    private static void signIn(Identity caller, HttpServletRequest request, HttpServletResponse response) {
        var authorities = List.of(new SimpleGrantedAuthority("ROLE_" + caller.role()));
        SecurityContext context = SecurityContextHolder.createEmptyContext();
        context.setAuthentication(UsernamePasswordAuthenticationToken.authenticated(caller, null, authorities));
        SecurityContextHolder.setContext(context);
        // This filter does not run again when the server dispatches an error or an asynchronous result.
        CONTEXTS.saveContext(context, request, response);
    }

    /** Responds with the error's status, headers and problem. */
    public static void answer(HttpServletResponse response, AuthException refusal) throws IOException {
        response.setStatus(refusal.status());
        if (refusal.wwwAuthenticate() != null) {
            response.setHeader(HttpHeaders.WWW_AUTHENTICATE, refusal.wwwAuthenticate());
        }
        if (refusal.retryAfter() != null) {
            response.setHeader(HttpHeaders.RETRY_AFTER, refusal.retryAfter().toString());
        }
        response.setContentType("application/problem+json");
        response.setCharacterEncoding(StandardCharsets.UTF_8.name());
        response.getWriter().write(refusal.problem());
    }
}
