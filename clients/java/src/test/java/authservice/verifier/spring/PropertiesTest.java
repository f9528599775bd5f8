package authservice.verifier.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import authservice.verifier.FakeService;
import authservice.verifier.Verifier;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/** Properties that cannot mean what they say keep the application from starting. */
class PropertiesTest {
    private static ConfigurableApplicationContext start(String... properties) {
        List<String> all = new ArrayList<>(List.of(
                "--server.port=0", "--server.address=127.0.0.1", "--spring.main.banner-mode=off", "--logging.level.root=off",
                "--auth-service.on-unsure=accept"));
        all.addAll(List.of(properties));
        return new SpringApplication(Shop.class).run(all.toArray(String[]::new));
    }

    private static void assertRefused(String complaint, String... properties) {
        Throwable error = assertThrows(Exception.class, () -> start(properties).close());
        while (error.getCause() != null) {
            error = error.getCause();
        }
        assertEquals(complaint, error.getMessage());
    }

    /** Spring leaves it as it stands where the variable is not set, and anybody can sign with that text. */
    @ParameterizedTest
    @ValueSource(strings = {
        "secrets", "secrets[0]", "issuer", "audience", "jwks-url", "redis-url", "redis-prefix", "api-key", "revocations-url", "service-url",
    })
    void aPropertyWhoseVariableIsNotSetIsRefusedByName(String name) {
        List<String> properties = new ArrayList<>(List.of("--auth-service." + name + "=${A_VARIABLE_THAT_NOBODY_HAS_EVER_SET}"));
        if (!name.startsWith("secrets") && !name.equals("jwks-url")) {
            properties.add("--auth-service.secrets=" + FakeService.SECRET);
        }
        assertRefused("auth-service." + name.replace("[0]", "") + " has ${A_VARIABLE_THAT_NOBODY_HAS_EVER_SET}: that variable is not set",
                properties.toArray(String[]::new));
    }

    @Test
    void aVariableThatIsNotSetIsFoundAmongOtherText() {
        assertRefused("auth-service.service-url has ${THE_HOST_NOBODY_SET}: that variable is not set",
                "--auth-service.secrets=" + FakeService.SECRET, "--auth-service.service-url=http://${THE_HOST_NOBODY_SET}:4001");
        assertRefused("auth-service.secrets has ${THE_SECRET_NOBODY_SET}: that variable is not set",
                "--auth-service.secrets=" + FakeService.SECRET + ",x${THE_SECRET_NOBODY_SET}y");
    }

    @ParameterizedTest
    @CsvSource({"service-url, serviceUrl", "revocations-url, revocationsUrl", "jwks-url, jwksUrl"})
    void anAddressWithoutSchemeIsRefusedAtTheStart(String name, String option) {
        String secrets = name.equals("jwks-url") ? "--a=b" : "--auth-service.secrets=" + FakeService.SECRET;
        assertRefused(option + " must begin with http:// or https:// and name a host", secrets, "--auth-service." + name + "=localhost:4001");
    }

    @Test
    void anEmptyServiceUrlIsRefusedAtTheStart() {
        assertRefused("serviceUrl must begin with http:// or https:// and name a host",
                "--auth-service.secrets=" + FakeService.SECRET, "--auth-service.service-url=");
    }

    @Test
    void aVariableThatIsSetIsReplacedAndASecretMayHaveADollar() {
        try (ConfigurableApplicationContext shop = start("--secret=a$b{c}$-0123456789abcdef0123456789abcdef", "--auth-service.secrets=${secret}")) {
            assertTrue(shop.getBean(Verifier.class).status().remembered() == 0);
        }
    }
}
