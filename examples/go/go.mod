module auth-service.example/examples/go

go 1.23

require auth-service.example/clients/go v0.0.0

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/golang-jwt/jwt/v5 v5.3.0 // indirect
	github.com/redis/go-redis/v9 v9.14.0 // indirect
)

replace auth-service.example/clients/go => ../../clients/go
