package generated;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AccountApi;
import org.openapitools.client.api.SecondFactorsApi;
import org.openapitools.client.api.SessionsApi;
import org.openapitools.client.model.DeviceMessage;
import org.openapitools.client.model.LoginRequest;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.SignInAnswer;
import org.openapitools.client.model.SignupRequest;

/** Sign-up, login, list, terminate and a refusal, through the client of openapi-generator; and what a later service may say. */
public final class Drive {
    private static final String EMAIL = "java@example.com";
    private static final String PASSWORD = "a long quiet evening";

    private Drive() {}

    public static void main(String[] arguments) throws Exception {
        AccountApi anyone = new AccountApi(client("AUTH_URL", null));
        SignInAnswer laptop = anyone.signup(new SignupRequest().name("Java").email(EMAIL).password(PASSWORD), null);
        SignInAnswer phone = anyone.login(new LoginRequest().email(EMAIL).password(PASSWORD).deviceName("Phone"), null);
        ApiClient signedIn = client("AUTH_URL", phone.getAccessToken());
        SessionsApi sessions = new SessionsApi(signedIn);
        expect(sessions.listSessions(null).getSessions().size(), 2);
        // Members that may be null.
        expect(new AccountApi(signedIn).getMe(null).getUser().getEmailVerifiedAt(), null);
        expect(new SecondFactorsApi(signedIn).listFactors(null).getTotp(), null);
        sessions.terminateSession(laptop.getSession().getId().toString(), null);
        expect(refusal(client("AUTH_URL", laptop.getAccessToken())), "session_terminated");

        ApiClient later = client("FUTURE_URL", "any");
        expect(refusal(later), "from_the_future");
        expect(new AccountApi(later).getMe(null).getUser().getRole(), "GUARDIAN");
        expect(new SessionsApi(later).listSessions(null).getSessions().get(0).getDeviceInfo().getDeviceType(), "hologram");
        String text = Files.readString(Path.of(System.getenv("FUTURE_MESSAGE")));
        DeviceMessage message = ApiClient.createDefaultObjectMapper().readValue(text, DeviceMessage.class);
        expect(message.getType(), "session.frozen");
        expect(message.getReason(), "cold");
        System.out.println("ok");
    }

    private static ApiClient client(String variable, String token) {
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv(variable));
        if (token != null) {
            client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        }
        return client;
    }

    private static String refusal(ApiClient client) throws Exception {
        try {
            return "not refused: " + new SessionsApi(client).getSession(null);
        } catch (ApiException error) {
            return client.getObjectMapper().readValue(error.getResponseBody(), Problem.class).getCode();
        }
    }

    private static void expect(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(found + ", not " + wanted);
        }
    }
}
