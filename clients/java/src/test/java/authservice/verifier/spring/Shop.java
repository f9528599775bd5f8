package authservice.verifier.spring;

import authservice.verifier.AuthException;
import authservice.verifier.Check;
import authservice.verifier.Identity;
import authservice.verifier.Verifier;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Import;
import org.springframework.http.HttpStatus;
import org.springframework.security.access.prepost.PreAuthorize;
import org.springframework.security.config.annotation.method.configuration.EnableMethodSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.web.bind.annotation.CrossOrigin;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.method.annotation.StreamingResponseBody;

/** An application whose routes answer in all the ways that Spring MVC knows. */
@SpringBootConfiguration
@EnableAutoConfiguration
@EnableMethodSecurity
@Import(Shop.Routes.class)
class Shop {
    record Order(String name) {}

    @RestController
    static class Routes {
        private final Verifier verifier;

        Routes(Verifier verifier) {
            this.verifier = verifier;
        }

        @CrossOrigin("https://shop.example")
        @GetMapping("/orders")
        String orders(@AuthenticationPrincipal Identity caller) {
            return caller.userId();
        }

        @PostMapping("/orders")
        String order(@RequestBody Order order) {
            return order.name();
        }

        @GetMapping({"/gone", "/public/gone"})
        String gone() {
            throw new ResponseStatusException(HttpStatus.NOT_FOUND, "no such order");
        }

        @GetMapping({"/broken", "/public/broken"})
        String broken() {
            throw new IllegalStateException("broken");
        }

        @GetMapping("/refused")
        void refused(HttpServletResponse response) throws IOException {
            response.sendError(409);
        }

        @GetMapping({"/chain/admin", "/public/caller"})
        String caller(@AuthenticationPrincipal Identity caller) {
            return caller == null ? "nobody" : caller.userId();
        }

        @GetMapping("/admin")
        @PreAuthorize("hasRole('ADMIN')")
        String admin() {
            return "admin";
        }

        @GetMapping("/pro")
        @PreAuthorize("hasRole('PRO')")
        String pro() {
            return "pro";
        }

        @GetMapping("/callable")
        Callable<String> callable(@AuthenticationPrincipal Identity caller) {
            return caller::userId;
        }

        @GetMapping("/future")
        CompletableFuture<String> future(@AuthenticationPrincipal Identity caller) {
            return CompletableFuture.supplyAsync(caller::userId);
        }

        @GetMapping("/future/broken")
        CompletableFuture<String> brokenFuture() {
            return CompletableFuture.failedFuture(new IllegalStateException("broken"));
        }

        @GetMapping("/public/future")
        CompletableFuture<String> publicFuture() {
            return CompletableFuture.supplyAsync(() -> "nobody");
        }

        @GetMapping("/stream")
        StreamingResponseBody stream(@AuthenticationPrincipal Identity caller) {
            return body -> body.write(caller.userId().getBytes());
        }

        @PostMapping("/payments")
        String payments(@RequestHeader("Authorization") String authorization) throws AuthException {
            return verifier.verifyHeader(authorization, Check.EXACT).userId();
        }
    }
}
