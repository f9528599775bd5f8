// Sign-up, login, list, terminate and a refusal, through the client of oapi-codegen; and what a later service may say.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/oapi-codegen/runtime/types"

	"auth-service.example/tests/generated/authapi"
)

func main() {
	ctx := context.Background()
	client, err := authapi.NewClientWithResponses(os.Getenv("AUTH_URL"))
	check(err)
	email, password := "go@example.com", "a long quiet evening"
	laptop, err := client.SignupWithResponse(ctx, nil, authapi.SignupJSONRequestBody{Name: "Go", Email: types.Email(email), Password: password})
	check(err)
	phone, err := client.LoginWithResponse(ctx, nil, authapi.LoginJSONRequestBody{Email: email, Password: password})
	check(err)
	if laptop.JSON201 == nil || phone.JSON200 == nil {
		log.Fatal(laptop.Status(), phone.Status())
	}
	list, err := client.ListSessionsWithResponse(ctx, nil, bearer(phone.JSON200.AccessToken))
	check(err)
	if list.JSON200 == nil || len(list.JSON200.Sessions) != 2 {
		log.Fatal(string(list.Body))
	}
	ended, err := client.TerminateSessionWithResponse(ctx, laptop.JSON201.Session.Id.String(), nil, bearer(phone.JSON200.AccessToken))
	check(err)
	if ended.StatusCode() != http.StatusNoContent {
		log.Fatal(ended.Status())
	}
	refused, err := client.GetSessionWithResponse(ctx, nil, bearer(laptop.JSON201.AccessToken))
	check(err)
	if refused.ApplicationproblemJSON401 == nil || refused.ApplicationproblemJSON401.Code != "session_terminated" {
		log.Fatal(string(refused.Body))
	}
	future(ctx)
	fmt.Println("ok")
}

// What a later service may say.
func future(ctx context.Context) {
	later, err := authapi.NewClientWithResponses(os.Getenv("FUTURE_URL"))
	check(err)
	refused, err := later.GetSessionWithResponse(ctx, nil, bearer("any"))
	check(err)
	me, err := later.GetMeWithResponse(ctx, nil, bearer("any"))
	check(err)
	list, err := later.ListSessionsWithResponse(ctx, nil, bearer("any"))
	check(err)
	text, err := os.ReadFile(os.Getenv("FUTURE_MESSAGE"))
	check(err)
	var message authapi.DeviceMessage
	check(json.Unmarshal(text, &message))
	expect(refused.ApplicationproblemJSON401.Code, "from_the_future")
	expect(me.JSON200.User.Role, "GUARDIAN")
	expect(list.JSON200.Sessions[0].DeviceInfo.DeviceType, "hologram")
	expect(message.Type, "session.frozen")
	expect(*message.Reason, "cold")
}

func expect(found, wanted string) {
	if found != wanted {
		log.Fatalf("%s, not %s", found, wanted)
	}
}

func bearer(token string) authapi.RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
