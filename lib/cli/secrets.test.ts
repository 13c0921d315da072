/** The key log: a file that cannot be written must not end a server. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logSecret } from './secrets.js';

const Secrets = suite('lib/cli/secrets');
Secrets('logSecret() goes on without a file that cannot be written, and says so once', () => {
  const { SSLKEYLOGFILE: before } = process.env;
  const write = process.stderr.write;
  let said = '';
  process.env['SSLKEYLOGFILE'] = '/nonexistent/keys.log';
  process.stderr.write = ((s: string) => ((said += s), true)) as typeof write;
  try {
    logSecret('CLIENT_RANDOM 00 00');
    logSecret('CLIENT_RANDOM 01 01');
  } finally {
    process.stderr.write = write;
    if (before === undefined) delete process.env['SSLKEYLOGFILE'];
    else process.env['SSLKEYLOGFILE'] = before;
  }
  assert.match(said, /^podwire: SSLKEYLOGFILE: ENOENT.*\n$/);
});
Secrets.run();
