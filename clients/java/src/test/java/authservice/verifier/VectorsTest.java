package authservice.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.nimbusds.jose.util.JSONObjectUtils;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every verifier gives the same results for the same tokens. */
class VectorsTest {
    @TestFactory
    @SuppressWarnings("unchecked")
    Stream<DynamicTest> vectors() throws Exception {
        Map<String, Object> file = JSONObjectUtils.parse(Files.readString(Path.of("../vectors.json")));
        byte[] keys = JSONObjectUtils.toJSONString((Map<String, Object>) file.get("jwks")).getBytes(StandardCharsets.UTF_8);
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, keys.length);
            exchange.getResponseBody().write(keys);
            exchange.close();
        });
        server.start();
        Map<String, Verifier> verifiers = Map.of(
                "secret", new Verifier(options(file).secrets((String) file.get("secret"))),
                "secrets", new Verifier(options(file).secrets(((List<String>) file.get("secrets")).toArray(String[]::new))),
                "jwks", new Verifier(options(file).jwksUrl("http://127.0.0.1:" + server.getAddress().getPort())));
        return ((List<Map<String, Object>>) file.get("vectors"))
                .stream().map(vector -> DynamicTest.dynamicTest((String) vector.get("name"), () -> check(verifiers, vector)))
                .onClose(() -> server.stop(0));
    }

    private static VerifierOptions options(Map<String, Object> file) {
        return new VerifierOptions((String) file.get("issuer"))
                .audience((String) file.get("audience"))
                .onUnsure(VerifierOptions.OnUnsure.ACCEPT);
    }

    private static void check(Map<String, Verifier> verifiers, Map<String, Object> vector) throws AuthException {
        Verifier verifier = verifiers.get(vector.get("verify"));
        String token = (String) vector.get("token");
        if ((Boolean) vector.get("accepted")) {
            assertEquals("01a20a5b-847b-755a-8579-4e203a2758dd", verifier.verify(token, Check.ANY).sessionId());
            return;
        }
        AuthException refusal = assertThrows(AuthException.class, () -> verifier.verify(token, Check.ANY));
        assertEquals(((Number) vector.get("status")).intValue(), refusal.status());
        assertEquals(vector.get("code"), refusal.code());
        assertEquals("Bearer error=\"invalid_token\"", refusal.wwwAuthenticate());
    }
}
