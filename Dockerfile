# syntax=docker/dockerfile:1
# The auth service: built in one image, run in a small one. The running container writes only to
# /data, and only with SQLite or without configured secrets; everything else may be read-only.

# What determines the dependencies: the manifests, and an empty file for each crate root they name.
# A change to the source changes nothing here, so the dependencies below come from the cache.
FROM rust:1.95-slim-bookworm AS skeleton
WORKDIR /build
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock \
        ! -name main.rs ! -name lib.rs ! -path './benches/*.rs' ! -path '*/examples/*.rs' -delete \
    && find . -type f \( -name main.rs -o -path './benches/*' -o -path '*/examples/*.rs' \) \
        -exec sh -c 'for root; do echo "fn main() { }" > "$root"; done' roots {} + \
    && find . -type f -name lib.rs -exec truncate --size=0 {} + \
    && find . -type d -empty -delete

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY --from=skeleton /build .
RUN cargo build --release --locked --bin auth-service
COPY . .
# Makes the sources newer than what was built from the empty files.
RUN find src entity migration -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bin auth-service \
    && install -d -o 10001 -g 10001 /stage/data

FROM debian:bookworm-slim
COPY --from=build /build/target/release/auth-service /usr/local/bin/auth-service
COPY --from=build --chown=10001:10001 /stage/data /data
ENV APP_ENV=production \
    HOST=0.0.0.0 \
    PORT=4001 \
    DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 4001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["auth-service", "health"]
ENTRYPOINT ["auth-service"]
CMD ["serve"]
