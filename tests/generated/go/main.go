// Sign-up, login, list, terminate and a refusal, through the client of oapi-codegen.
package main

import (
	"context"
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
	fmt.Println("ok")
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
