package authservice.verifier.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import authservice.verifier.FakeService;
import authservice.verifier.Verifier;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.web.SecurityFilterChain;

/**
 * What an application answers by itself reaches the caller: errors and asynchronous results are dispatched a
 * second time by the server, so it is a real one.
 */
class DispatchTest {
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    /** Rules of the application's own. Within Shop it would be a part of it. */
    static class OwnRules {
        @Bean
        SecurityFilterChain rules(HttpSecurity http, Verifier verifier) throws Exception {
            return AuthServiceAutoConfiguration.protect(http, verifier).cors(Customizer.withDefaults())
                    .authorizeHttpRequests(rules -> rules
                            .requestMatchers("/public/**").permitAll()
                            .requestMatchers("/chain/admin").hasRole("ADMIN")
                            .anyRequest().authenticated())
                    .build();
        }
    }

    private static FakeService service;
    /** With the filter chain of the starter, and with one of its own. */
    private static ServletWebServerApplicationContext byDefault;
    private static ServletWebServerApplicationContext own;

    @BeforeAll
    static void start() throws Exception {
        service = new FakeService();
        byDefault = run(Shop.class);
        own = run(Shop.class, OwnRules.class);
    }

    private static ServletWebServerApplicationContext run(Class<?>... parts) {
        return (ServletWebServerApplicationContext) new SpringApplication(parts).run(
                "--server.port=0", "--server.address=127.0.0.1", "--spring.main.banner-mode=off", "--logging.level.root=off",
                "--auth-service.secrets=" + FakeService.SECRET, "--auth-service.service-url=" + service.url,
                "--auth-service.on-unsure=accept");
    }

    @AfterAll
    static void stop() throws Exception {
        byDefault.close();
        own.close();
        service.close();
    }

    private static HttpResponse<String> send(ServletWebServerApplicationContext shop, String method, String path, String token)
            throws Exception {
        URI uri = URI.create("http://127.0.0.1:" + shop.getWebServer().getPort() + path);
        HttpRequest.Builder request = HttpRequest.newBuilder(uri).header("Content-Type", "application/json")
                .method(method, method.equals("GET") ? BodyPublishers.noBody() : BodyPublishers.ofString("{\"name"));
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        return HTTP.send(request.build(), BodyHandlers.ofString());
    }

    private static String good() throws Exception {
        return FakeService.token("laptop", Instant.now(), Duration.ofMinutes(15));
    }

    @ParameterizedTest
    @CsvSource({
        "GET, /nowhere, 404", "GET, /gone, 404", "GET, /broken, 500", "GET, /refused, 409", "POST, /orders, 400",
        "DELETE, /orders, 405", "GET, /future/broken, 500", "GET, /a;b, 400",
    })
    void anErrorOfASignedInCallerKeepsItsStatus(String method, String path, int status) throws Exception {
        for (var shop : List.of(byDefault, own)) {
            HttpResponse<String> answer = send(shop, method, path, good());
            assertEquals(status, answer.statusCode(), answer.body());
            assertTrue(answer.body().contains("\"status\":" + status), "the error page of the application: " + answer.body());
        }
    }

    @ParameterizedTest
    @CsvSource({"/callable, ada", "/future, ada", "/stream, ada", "/orders, ada", "/pro, pro"})
    void anAsynchronousRouteAnswersTheSignedInCaller(String path, String body) throws Exception {
        for (var shop : List.of(byDefault, own)) {
            HttpResponse<String> answer = send(shop, "GET", path, good());
            assertEquals(200, answer.statusCode(), answer.body());
            assertEquals(body, answer.body());
        }
    }

    @Test
    void aRoleThatIsMissingIs403WithAProblem() throws Exception {
        for (HttpResponse<String> answer : List.of(
            send(byDefault, "GET", "/admin", good()), send(own, "GET", "/admin", good()), send(own, "GET", "/chain/admin", good()))) {
            assertEquals(403, answer.statusCode(), answer.body());
            assertTrue(answer.body().contains("\"code\":\"insufficient_scope\""), answer.body());
            assertEquals("Bearer error=\"insufficient_scope\"", answer.headers().firstValue("WWW-Authenticate").orElse(""));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "/public/gone, 404", "/public/broken, 500", "/public/nowhere, 404", "/public/caller, 200", "/public/future, 200",
        "/orders, 401", "/nowhere, 401", "/error, 401", "/a;b, 400",
    })
    void whatIsPermittedAnswersACallerWithoutATokenAndNothingElseDoes(String path, int status) throws Exception {
        HttpResponse<String> answer = send(own, "GET", path, null);
        assertEquals(status, answer.statusCode(), answer.body());
        if (status == 401) {
            assertTrue(answer.body().contains("\"code\":\"token_missing\""), answer.body());
        }
    }

    @Test
    void byDefaultACallerWithoutATokenIsRefusedEverywhere() throws Exception {
        for (String path : List.of("/orders", "/nowhere", "/public/gone", "/public/caller", "/error")) {
            HttpResponse<String> answer = send(byDefault, "GET", path, null);
            assertEquals(401, answer.statusCode(), path);
            assertEquals("Bearer", answer.headers().firstValue("WWW-Authenticate").orElse(""));
            assertEquals("application/problem+json;charset=UTF-8", answer.headers().firstValue("Content-Type").orElse(""));
            assertTrue(answer.body().contains("\"code\":\"token_missing\""), answer.body());
        }
        assertEquals(400, send(byDefault, "GET", "/a;b", null).statusCode(), "what is no request is refused as such");
    }

    @Test
    void aBadTokenIsRefusedOnAPermittedRouteToo() throws Exception {
        HttpResponse<String> answer = send(own, "GET", "/public/caller", "nonsense");
        assertEquals(401, answer.statusCode());
        assertTrue(answer.body().contains("\"code\":\"token_invalid\""), answer.body());
    }

    @Test
    void aRefusalThatAControllerThrowsIsAnsweredAsSuch() throws Exception {
        service.session = 401;
        HttpResponse<String> ended = send(byDefault, "POST", "/payments", good());
        assertEquals(401, ended.statusCode(), ended.body());
        assertTrue(ended.body().contains("\"code\":\"session_terminated\""), ended.body());
        service.session = 500;
        HttpResponse<String> unknown = send(own, "POST", "/payments", good());
        assertEquals(503, unknown.statusCode(), unknown.body());
        assertEquals("1", unknown.headers().firstValue("Retry-After").orElse(""));
        service.session = 200;
        assertEquals("ada", send(own, "POST", "/payments", good()).body());
    }

    @Test
    void aPreflightIsAnsweredWhereTheRulesHaveCors() throws Exception {
        for (var shop : List.of(byDefault, own)) {
            HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + shop.getWebServer().getPort() + "/orders"))
                    .header("Origin", "https://shop.example").header("Access-Control-Request-Method", "GET")
                    .header("Access-Control-Request-Headers", "authorization")
                    .method("OPTIONS", BodyPublishers.noBody()).build();
            assertEquals(shop == own ? 200 : 401, HTTP.send(request, BodyHandlers.ofString()).statusCode());
        }
    }
}
