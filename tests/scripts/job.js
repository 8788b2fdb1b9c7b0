#!/usr/bin/env node
const fs = require('fs'), path = require('path'), child = require('child_process'), crypto = require('crypto');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const words = require('words');
if (!isMainThread) { parentPort.postMessage(words.count([workerData])); return; }
const top = process.argv[2];
function* walk(name) {
  yield name;
  if (fs.lstatSync(name).isDirectory()) for (const entry of fs.readdirSync(name).sort()) yield* walk(path.join(name, entry));
}
const attempt = async (name, todo) => {
  try { await todo(); console.log(name, 'done'); } catch (error) { console.log(name, error.code, error.path ?? ''); }
};
(async () => {
  console.log('module', require.resolve('words'), __filename);
  for (const name of walk(top)) {
    const s = fs.lstatSync(name);
    console.log(name, s.mode.toString(8), s.isDirectory() ? 0 : s.size, s.mtimeMs, s.isSymbolicLink() ? fs.readlinkSync(name) : '-');
  }
  const files = [...walk(path.join(top, 'text'))].filter(name => name.endsWith('.txt'));
  console.log(files.length, 'files,', words.count(files));
  await attempt('read', () => fs.promises.readFile(top + '/missing'));
  await attempt('write', () => fs.promises.writeFile(top + '/new', 'x'));
  await attempt('mkdir', () => fs.promises.mkdir(top + '/new'));
  await attempt('unlink', () => fs.promises.unlink(files[0]));
  await attempt('rename', () => fs.promises.rename(files[0], top + '/other'));
  await attempt('access', () => fs.promises.access(files[0], fs.constants.W_OK));
  await attempt('directory', () => fs.promises.readFile(top));
  console.log('child', child.execFileSync(top + '/say', ['from node']).toString(), child.execSync(top + '/say shell').toString());
  const read = await Promise.all(files.map(name => fs.promises.readFile(name)));
  console.log('together', crypto.createHash('sha256').update(Buffer.concat(read)).digest('hex'));
  const streamed = files.map(name => new Promise(done => {
    const hash = crypto.createHash('md5'); fs.createReadStream(name).on('data', d => hash.update(d)).on('end', () => done(hash.digest('hex')));
  }));
  console.log('streamed', (await Promise.all(streamed)).join(' '));
  const counts = files.slice(0, 4).map(name => new Promise((done, fail) =>
    new Worker(__filename, { workerData: name }).on('message', done).on('error', fail)));
  console.log('workers', await Promise.all(counts));
  process.chdir(top + '/text/0');
  console.log(process.cwd(), fs.realpathSync('../link'), fs.realpathSync.native('../1/..'), fs.readdirSync('.').sort());
  const ended = child.spawnSync(process.execPath, ['-e', 'console.log(require("words").count([process.argv[1]]))', files[0]],
    { env: { ...process.env, NODE_PATH: top + '/node_modules' } });
  console.log('another', ended.stdout.toString(), ended.stderr.toString());
})();
