# Contains only the exporter and its runtime dependencies: no shell, no package manager.
#
#   docker build --build-arg REVISION="$(git rev-parse --short=12 HEAD)" --tag campaign_exporter .
#   docker run --read-only --tmpfs /tmp --cap-drop=ALL --publish 10058:10058 campaign_exporter demo
#
# The image contains no shell or HTTP client, so it defines no HEALTHCHECK. Probe it over HTTP:
# /-/healthy shows whether to restart it, /-/ready whether every account has been polled at least once.
#
# The base image is pinned to a Rust and a Debian version. To pin its contents as well, use
# rust:VERSION@sha256:DIGEST with the digest shown by `docker buildx imagetools inspect`.
FROM rust:1.95.0-slim-bookworm AS build

WORKDIR /build
# Remapped paths make the build reproducible. Function names are kept for backtraces; debug information,
# half of the binary, is stripped.
ENV RUSTFLAGS="--remap-path-prefix=/build=campaign_exporter --remap-path-prefix=/usr/local/cargo/registry/src=registry" \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    CARGO_INCREMENTAL=0

# Builds the dependencies in their own layer, which is reused until these files change. Cargo cannot
# build dependencies alone, so this compiles empty programs. The lock file is valid only together with the
# manifests of all members of the workspace.
COPY Cargo.toml Cargo.lock build.rs ./
COPY benches/compare/Cargo.toml benches/compare/
COPY crates/simulator/Cargo.toml crates/simulator/
COPY crates/testkit/Cargo.toml crates/testkit/
COPY tools/alert_quality/Cargo.toml tools/alert_quality/
COPY tools/xtask/Cargo.toml tools/xtask/
SHELL ["/bin/bash", "-o", "errexit", "-o", "pipefail", "-c"]
RUN for manifest in Cargo.toml */*/Cargo.toml; do \
      sources="$(dirname "$manifest")/src"; \
      mkdir "$sources"; \
      touch "$sources/lib.rs"; \
    done; \
    echo 'fn main() {}' | tee src/main.rs > benches/campaigns.rs; \
    cargo build --locked --release

ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
COPY crates crates
COPY src src
# cargo compares modification times, and the empty programs are newer than the sources
RUN find crates src -type f -exec touch {} +; \
    cargo build --locked --release; \
    mkdir --parents /image/usr/bin /image/etc/ssl/certs /image/etc/campaign_exporter; \
    cp target/release/campaign_exporter /image/usr/bin/; \
    ldd target/release/campaign_exporter | grep --only-matching '/lib[^ ]*' \
      | xargs cp --dereference --parents --target-directory=/image; \
    cp --dereference /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'campaign_exporter:x:65532:65532::/var/lib/campaign_exporter:/usr/sbin/nologin' > /image/etc/passwd; \
    echo 'campaign_exporter:x:65532:' > /image/etc/group; \
    echo 'hosts: files dns' > /image/etc/nsswitch.conf; \
    mkdir --mode=1777 /image/tmp; \
    install --directory --mode=0700 /storage/campaign_exporter; \
    find /image /storage -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM scratch

ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="campaign_exporter" \
      org.opencontainers.image.description="Prometheus exporter for SMS and WhatsApp marketing campaigns" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

COPY --from=build /image /
COPY --from=build --chown=65532:65532 /storage /var/lib
COPY LICENSE /usr/share/doc/campaign_exporter/LICENSE

# Numeric, since Kubernetes cannot check runAsNonRoot for a user name. With --storage.path, mount a volume
# at /var/lib/campaign_exporter; data in the container's own filesystem is lost with the container.
USER 65532:65532
ENV CAMPAIGN_EXPORTER_CONFIG_FILE=/etc/campaign_exporter/campaign_exporter.yml
EXPOSE 10058
ENTRYPOINT ["/usr/bin/campaign_exporter"]
