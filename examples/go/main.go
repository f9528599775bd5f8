// A service that accepts the auth service's access tokens, with net/http.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	authverifier "auth-service.example/clients/go"
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	authURL := setting("AUTH_URL", "http://localhost:4001")
	options := authverifier.Options{
		Issuer:     setting("JWT_ISSUER", "auth-service"),
		Audience:   os.Getenv("JWT_AUDIENCE"),
		ServiceURL: authURL,
		OnError:    func(err error) { log.Print("events: ", err) },
	}
	// Session endings are followed over HTTP if there is an API key, otherwise over Redis.
	if key := os.Getenv("AUTH_API_KEY"); key != "" {
		options.APIKey, options.RevocationsURL = key, os.Getenv("REVOCATIONS_URL")
	} else {
		options.RedisURL = setting("REDIS_URL", "redis://localhost:6379")
	}
	if secret := os.Getenv("JWT_ACCESS_SECRET"); secret != "" {
		options.Secrets = []string{secret}
	} else {
		options.JWKSURL = authURL + "/.well-known/jwks.json"
	}
	verifier, err := authverifier.New(options)
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "ok", "eventsUpToDate": verifier.Status().UpToDate})
	})
	mux.Handle("GET /orders", verifier.RequireSession(authverifier.Check{}, http.HandlerFunc(orders)))
	// Accepting a session that has just ended would cost more here than a query to the auth service.
	mux.Handle("POST /payments", verifier.RequireSession(authverifier.Check{Exact: true}, http.HandlerFunc(payments)))
	listener, err := net.Listen("tcp", "127.0.0.1:"+setting("PORT", "5001"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}

func orders(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{"caller": caller(r), "orders": []string{}})
}

func payments(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusCreated, map[string]any{"caller": caller(r)})
}

func caller(r *http.Request) map[string]string {
	identity, _ := authverifier.FromContext(r.Context())
	return map[string]string{"user": identity.UserID, "session": identity.SessionID, "role": identity.Role}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone, and there is nobody else to report an error to.
	_ = json.NewEncoder(w).Encode(body)
}
