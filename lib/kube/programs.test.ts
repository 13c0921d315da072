import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clusterProgram } from './programs.js';

const Programs = suite('lib/kube/programs');

Programs('clusterProgram() knows its programs and nothing else', () => {
  for (const name of ['coredns', 'ingress', 'istio-proxy'])
    assert.type(clusterProgram(['podwire', 'app', name]), 'function');
  for (const name of ['constructor', 'toString', '__proto__', ''])
    assert.is(clusterProgram(['podwire', 'app', name]), null, name);
  assert.is(clusterProgram(['podwire', 'app']), null);
});

Programs.run();
