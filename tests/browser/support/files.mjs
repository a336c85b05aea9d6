// A tiny web server for the test pages, so that they are no files of the tested server.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { extname, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css' };

/** The same without a socket: a page's requests for `origin` are answered from a folder of tests/browser. */
export async function answerFromFiles(page, folder, origin) {
  const root = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  await page.setRequestInterception(true);
  page.on('request', async (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin) return request.continue();
    const path = normalize(url.pathname);
    return readFile(root + path).then(
      (body) => request.respond({ status: 200, contentType: types[extname(path)], body }),
      () => request.respond({ status: 404 }),
    );
  });
}

/** Serves a folder of tests/browser; `host` is the name that pages are opened under. */
export async function serveFiles(folder, { host = 'localhost' } = {}) {
  const root = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://x').pathname);
    try {
      const body = await readFile(root + path);
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://${host}:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
