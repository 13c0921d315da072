import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ACK, CWR, ECE, PSH, SYN } from '../../../wire/tcp.js';
import { bootKernel, createNetns } from '../core/machine.js';
import * as E from './tcp-ecn.js';
import { TcpSock } from './tcp.js';

const Ecn = suite('lib/linux/ipv4/tcp-ecn');

const sock = (tcpEcn: number): TcpSock => {
  const s = new TcpSock(createNetns(bootKernel(1), 'n'));
  s.net.sysctl.set('net.ipv4.tcp_ecn', tcpEcn);
  return s;
};

Ecn('a SYN asks with tcp_ecn 1 only, a listener agrees unless it is 0', () => {
  assert.equal(
    [0, 1, 2].map((v) => E.ecnSendSyn(sock(v))),
    [0, ECE | CWR, 0],
  );
  assert.equal(
    [0, 1, 2].map((v) => E.ecnCreateRequest(sock(v), SYN | ECE | CWR, 0)),
    [false, true, true],
  );
  assert.not(E.ecnCreateRequest(sock(1), SYN | ECE, 0));
  assert.not(E.ecnCreateRequest(sock(1), SYN | ECE | CWR, 2));
});

Ecn('only new data is marked; the first after a reduction says so', () => {
  const s = sock(1);
  E.ecnSendSyn(s);
  E.ecnRcvSynack(s, SYN | ACK | ECE);
  assert.equal([E.ecnSend(s, true), s.tos], [0, 2]);
  assert.equal([E.ecnSend(s, false), s.tos], [0, 0]);
  E.ecnQueueCwr(s);
  assert.equal([E.ecnSend(s, false), E.ecnSend(s, true), E.ecnSend(s, true)], [0, CWR, 0]);
});

Ecn('without agreement nothing is marked or echoed', () => {
  const s = sock(1);
  E.ecnSendSyn(s);
  E.ecnRcvSynack(s, SYN | ACK);
  E.ecnQueueCwr(s);
  assert.equal([E.ecnSend(s, true), s.tos], [0, 0]);
  assert.not(E.ecnEcho(s, ACK | ECE));
});

Ecn('a reduction is accepted with data at once, without data later', () => {
  const s = sock(1);
  assert.ok(E.ecnAcceptCwr(s, ACK | PSH | CWR, true));
  assert.not(E.ecnAcceptCwr(s, ACK | CWR, false));
  assert.not(E.ecnAcceptCwr(s, ACK | PSH, true));
});

Ecn.run();
