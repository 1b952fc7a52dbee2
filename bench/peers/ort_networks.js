// Images per second of the networks of bench/networks.c in ONNX Runtime: forward of 128 images.
// usage: NODE_PATH=.../node_modules node ort_networks.js DIR [--case NAME] [--threads 1,2]
//        [--reps N] [--seconds X] [--quick] [--no-header]    DIR: written by export_onnx.py
// Two warm-up calls, then single calls until at least --reps and --seconds passed; the best counts.
// Prints CSV: peer,case,threads,layout,forward_ips,step_ips,memory_mb (the last two are empty).
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

const BATCH = 128;

function parse(argv) {
  const options = {cases: [], threads: '1,2', reps: 5, seconds: 1, header: true};
  for (let i = 0; i < argv.length; i++) {
    switch (argv[i]) {
      case '--case': options.cases.push(argv[++i]); break;
      case '--threads': options.threads = argv[++i]; break;
      case '--reps': options.reps = Number(argv[++i]); break;
      case '--seconds': options.seconds = Number(argv[++i]); break;
      case '--no-header': options.header = false; break;
      case '--quick': options.quick = true; break;
      default:
        if (argv[i].startsWith('--') || options.directory) throw new Error(`bad option ${argv[i]}`);
        options.directory = argv[i];
    }
  }
  if (!options.directory) throw new Error('the directory of the ONNX files is missing');
  if (options.quick) {
    options.reps = 2;
    options.seconds = 0;
    if (options.cases.length === 0) options.cases = ['cnn-8'];
  }
  if (options.cases.length === 0)
    options.cases = fs.readdirSync(options.directory).filter(f => f.endsWith('.onnx'))
        .map(f => path.basename(f, '.onnx')).sort();
  return options;
}

// Standard normal by Box-Muller.
function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

async function bestSeconds(call, options) {
  let best = Infinity, total = 0;
  for (let i = 0; i < 2; i++) await call();
  for (let count = 0; count < options.reps || total < options.seconds; count++) {
    const start = process.hrtime.bigint();
    await call();
    const took = Number(process.hrtime.bigint() - start) / 1e9;
    best = Math.min(best, took);
    total += took;
  }
  return best;
}

async function measure(name, threads, options) {
  const session = await ort.InferenceSession.create(
      path.join(options.directory, name + '.onnx'),
      {intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'],
       graphOptimizationLevel: 'all'});
  const values = Float32Array.from({length: BATCH * 3 * 32 * 32}, normal);
  const x = new ort.Tensor('float32', values, [BATCH, 3, 32, 32]);
  const seconds = await bestSeconds(() => session.run({x}), options);
  console.log(`onnxruntime,${name},${threads},nchw,${(BATCH / seconds).toFixed(2)},,`);
  await session.release();
}

async function main() {
  const options = parse(process.argv.slice(2));
  if (options.header) console.log('peer,case,threads,layout,forward_ips,step_ips,memory_mb');
  for (const threads of options.threads.split(',').map(Number))
    for (const name of options.cases) await measure(name, threads, options);
}

main().catch(error => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
