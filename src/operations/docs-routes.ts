import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import express, { type Router } from 'express';
import helmet from 'helmet';

const assets = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')));

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>customer-labels API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="icon" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <div id="docs"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;
const start = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, persistAuthorization: true });
`;

/** Swagger UI from this machine: no other host is asked for anything. */
export function createDocsPages(): Router {
  const pages = express.Router();
  pages.use(
    '/docs',
    (_request, response, next) => {
      response.setHeader('Cache-Control', 'no-cache');
      next();
    },
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'self'"],
          styleSrc: ["'self'", "'unsafe-inline'"],
          imgSrc: ["'self'", 'data:'],
          frameAncestors: ["'self'"],
        },
      },
      strictTransportSecurity: false,
    }),
  );
  pages.get('/docs', (_request, response) => void response.type('html').send(page));
  pages.get('/docs/start.js', (_request, response) => void response.type('js').send(start));
  pages.use('/docs', express.static(assets, { index: false, redirect: false }));
  return pages;
}
