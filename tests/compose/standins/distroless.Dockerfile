# Stands in for gcr.io/distroless/cc-debian12:nonroot: the libraries that its description lists, from the same Debian packages,
# no shell, and the user 65532.
FROM debian:bookworm-slim AS packages
RUN apt-get update && mkdir /packages && cd /packages && apt-get download \
    base-files netbase tzdata ca-certificates libc6 libssl3 libgcc-s1 libgomp1 libstdc++6
RUN mkdir /root-fs && for package in /packages/*.deb; do dpkg-deb --extract "$package" /root-fs; done \
    && mkdir -p /root-fs/etc/ssl/certs /root-fs/home/nonroot \
    && find /root-fs/usr/share/ca-certificates -name '*.crt' -exec cat {} + >/root-fs/etc/ssl/certs/ca-certificates.crt \
    && printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >/root-fs/etc/passwd \
    && printf 'root:x:0:\nnonroot:x:65532:\n' >/root-fs/etc/group \
    && chown 65532:65532 /root-fs/home/nonroot \
    && rm -rf /root-fs/usr/bin /root-fs/usr/sbin /root-fs/bin /root-fs/sbin /root-fs/usr/share/doc /root-fs/usr/share/man

FROM scratch
COPY --from=packages /root-fs /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
