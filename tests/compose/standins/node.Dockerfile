# Stands in for node:24.9.0-bookworm-slim: the same version of Node.js, from its npm package, with what this machine needs to
# reach its package registry.
FROM debian:bookworm-slim
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY node/bin/node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
COPY npmrc /root/.npmrc
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
