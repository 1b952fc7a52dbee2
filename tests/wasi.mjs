// wasi.mjs - runs a program compiled for WASI, with access to the working directory only.
//
//   node tests/wasi.mjs PROGRAM.wasm [ARGUMENT...]
//
// Exit status: the program's; 134 if it trapped.

import { readFile } from 'node:fs/promises';
import process, { argv, env, exit } from 'node:process';

process.removeAllListeners('warning'); // hides the warning that WASI is experimental
const { WASI } = await import('node:wasi');
const wasi = new WASI({
  version: 'preview1',
  args: argv.slice(2),
  env: { TMPDIR: '.', COLUMNS: env.COLUMNS ?? '80' },
  preopens: { '.': '.' },
});
const module = await WebAssembly.compile(await readFile(argv[2]));
try {
  exit(wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())));
} catch (error) {
  console.error(String(error));
  exit(134);
}
