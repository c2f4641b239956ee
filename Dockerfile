# The exporter and what it needs of a system, and nothing else: no shell, no package manager.
#
#   docker build --build-arg REVISION="$(git rev-parse --short=12 HEAD)" --tag campaign_exporter .
#   docker run --read-only --tmpfs /tmp --cap-drop=ALL --publish 10058:10058 campaign_exporter demo
#
# There is no HEALTHCHECK, which would need a program to ask with. Probes ask over HTTP:
# /-/healthy tells whether to restart it, /-/ready whether every account was polled once.
#
# The base is pinned to versions of Rust and of Debian. To pin its bytes as well, write
# rust:VERSION@sha256:DIGEST with the digest that `docker buildx imagetools inspect` shows.
FROM rust:1.95.0-slim-bookworm AS build

WORKDIR /build
# The same sources make the same program wherever they lie. Names of functions stay, for backtraces;
# the table of lines is half the file.
ENV RUSTFLAGS="--remap-path-prefix=/build=campaign_exporter --remap-path-prefix=/usr/local/cargo/registry/src=registry" \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    CARGO_INCREMENTAL=0

# The dependencies are a layer of their own, which lasts as long as these files do: built with a
# program that is empty, since cargo does not build them alone.
COPY Cargo.toml Cargo.lock build.rs ./
SHELL ["/bin/bash", "-o", "errexit", "-o", "pipefail", "-c"]
RUN sed --quiet 's/^path = "\(.*\)"$/\1/p' Cargo.toml > targets; \
    echo src/main.rs >> targets; \
    echo benches/campaigns.rs >> targets; \
    while read -r target; do \
      mkdir --parents "$(dirname "$target")"; \
      echo 'fn main() {}' > "$target"; \
    done < targets; \
    touch src/lib.rs; \
    cargo build --locked --release

ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
COPY src src
# cargo goes by the times of files, and the empty program is younger than its sources
RUN find src -type f -exec touch {} +; \
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

# A number, since Kubernetes' runAsNonRoot cannot tell by a name. With --storage.path, mount a volume
# at /var/lib/campaign_exporter: what is kept in the container would go with it.
USER 65532:65532
ENV CAMPAIGN_EXPORTER_CONFIG_FILE=/etc/campaign_exporter/campaign_exporter.yml
EXPOSE 10058
ENTRYPOINT ["/usr/bin/campaign_exporter"]
