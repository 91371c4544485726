# `frontend`: the built page on an unprivileged nginx that also brings the services onto the page's origin.
#
#   docker build -f docker/frontend.Dockerfile -t imagesearch-frontend:0.1.0 .
#
# INGESTAPI_URL, SEARCHAPI_URL and CDNAPI_URL say where the services are; the page is on port 3000, and
# on 9090 what Prometheus reads.
ARG NODE_IMAGE=node:24.9.0-bookworm-slim
ARG NGINX_IMAGE=nginxinc/nginx-unprivileged:1.28.0-bookworm

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS page
WORKDIR /page
COPY services/frontend/package.json services/frontend/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --loglevel=error
COPY services/frontend ./
RUN npm run build

FROM page AS compressed
RUN find dist -type f \( -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.svg' \) -exec gzip -9 --keep --no-name {} +

FROM ${NGINX_IMAGE}
COPY --from=compressed /page/dist /usr/share/nginx/page
COPY docker/frontend/nginx.conf.template /etc/nginx/page.conf.template
COPY docker/frontend/start /usr/local/bin/start
ENV INGESTAPI_URL=http://ingestapi:8000 \
    SEARCHAPI_URL=http://searchapi:8001 \
    CDNAPI_URL=http://cdnapi:8002
EXPOSE 3000 9090
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/healthz"]
ENTRYPOINT ["/usr/local/bin/start"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imagesearch-frontend" \
      org.opencontainers.image.description="The page of imagesearch, and its services on one origin" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="nginxinc/nginx-unprivileged:1.28.0-bookworm"
