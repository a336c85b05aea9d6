// Modules of the page, for tests of them without a browser. No package.json says there that they are ES modules: this does.

import { register } from 'node:module';
import { webcrypto } from 'node:crypto';

const root = new URL('../../../web/', import.meta.url);

const HOOK = `export const load = (url, context, next) => next(url, url.startsWith(${JSON.stringify(root.href)}) ? { ...context, format: 'module' } : context);`;

register(`data:text/javascript,${encodeURIComponent(HOOK)}`);
globalThis.crypto ??= webcrypto; // not yet in Node 18

/** The module at this path in web/. */
export const importWeb = (path) => import(new URL(path, root).href);
