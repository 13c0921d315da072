import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manifestFiles } from './manifest-files.js';

const dir = mkdtempSync(join(tmpdir(), 'podwire-manifests-'));
const Files = suite('lib/cli/manifest-files');
Files.before(() => {
  mkdirSync(join(dir, 'k8s', 'deep'), { recursive: true });
  for (const f of ['k8s/b.yaml', 'k8s/a.json', 'k8s/c.yml', 'k8s/notes.txt', 'k8s/deep/d.yaml', 'one.yaml', '.x.yaml'])
    writeFileSync(join(dir, f), '');
});
Files.after(() => rmSync(dir, { recursive: true, force: true }));

Files(
  'a folder is its manifests, sorted, without what lies deeper; a pattern is what matches; a file is itself',
  () => {
    const of = (path: string): string[] => manifestFiles(dir, path);
    assert.equal(of('k8s'), ['k8s/a.json', 'k8s/b.yaml', 'k8s/c.yml']);
    assert.equal(of('k8s/'), of('k8s'));
    assert.equal(of('*.yaml'), ['one.yaml']);
    assert.equal(of('k8s/?.y*ml'), ['k8s/b.yaml', 'k8s/c.yml']);
    assert.equal(of('*/*/d.yaml'), ['k8s/deep/d.yaml']);
    assert.equal(of('no*.yaml'), []);
    assert.equal(of('k8s/deep/../b.yaml'), ['k8s/deep/../b.yaml']);
    assert.equal(of('nosuch.yaml'), ['nosuch.yaml']);
  },
);
Files.run();
