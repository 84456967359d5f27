# The controller's image: one static program and the certificates of public authorities. Built by `make image`, for linux/amd64
# and linux/arm64; the compiler always runs on the machine's own architecture.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    .ci/programs "$(.ci/target "${TARGETARCH:-$(dpkg --print-architecture)}")" /programs

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="warmfront" \
      org.opencontainers.image.description="Progressive delivery for cached services on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /programs/warmfront /warmfront
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENTRYPOINT ["/warmfront"]
