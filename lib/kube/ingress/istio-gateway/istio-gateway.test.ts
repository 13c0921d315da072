import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { CHUNKED, type Field, NO_BODY, ofLength, type RequestHead, requestText, responseText } from '../../../apps/l7/message.js'; // prettier-ignore
import { FakeIo } from '../../../apps/l7/testing.js';
import type { Router } from '../types.js';
import { IstioController } from './controller.js';
import { clientResponse, type Passing, upstreamRequest } from './headers.js';
import { peerMetadata, peerMetadataId } from './metadata.js';
import { localReply } from './replies.js';

const endpoint = (address: string, port: number) => ({ address: aton(address)!, port });
const FROM: Downstream = { local: endpoint('10.244.1.10', 8080), peer: endpoint('203.0.113.50', 41000), originalDst: endpoint('10.244.1.10', 8080), tls: null, port: 80, nth: 0, keep: true }; // prettier-ignore
const CURL: RequestHead = { method: 'GET', target: '/a?b=1', minor: 1, fields: [['Host', 'shop.example.com'], ['User-Agent', 'curl/8.14.1'], ['Accept', '*/*']] }; // prettier-ignore
const PASSING: Passing = {
  target: '/a?b=1', requestId: '65b60be7-da98-48f3-9ed6-13112cdd14f0', decorator: 'web.default.svc.cluster.local:80/*',
  peerMetadataId: 'router~10.244.1.10~gw.istio-system~istio-system.svc.cluster.local', peerMetadata: 'Cg==', originalPath: null,
  authority: null, edits: [], attempt: 1,
}; // prettier-ignore
const NOW = 1795358872; // Sun, 22 Nov 2026 14:47:52 GMT
const lines = (text: string): string[] => text.split('\r\n');

const Gateway = suite('lib/kube/ingress/istio-gateway');

Gateway('upstreamRequest() writes names in lower case and its own fields last (I1)', () => {
  assert.equal(lines(requestText(upstreamRequest(CURL, FROM, PASSING, NO_BODY))), [
    'GET /a?b=1 HTTP/1.1',
    'host: shop.example.com',
    'user-agent: curl/8.14.1',
    'accept: */*',
    'x-forwarded-for: 203.0.113.50',
    'x-forwarded-proto: http',
    'x-envoy-external-address: 203.0.113.50',
    'x-request-id: 65b60be7-da98-48f3-9ed6-13112cdd14f0',
    'x-envoy-decorator-operation: web.default.svc.cluster.local:80/*',
    'x-envoy-peer-metadata-id: router~10.244.1.10~gw.istio-system~istio-system.svc.cluster.local',
    'x-envoy-peer-metadata: Cg==',
    'x-envoy-attempt-count: 1',
    '',
    '',
  ]);
});

Gateway('upstreamRequest() keeps the place of what it replaces, strips what steers, does the route’s changes', () => {
  const fields: Field[] = [['Host', 'h'], ['X-Request-Id', 'abc'], ['X-Forwarded-For', '1.2.3.4'], ['x-envoy-retry-on', '5xx'], ['Connection', 'close, X-Foo'], ['X-Foo', '1'], ['TE', 'trailers'], ['X-Old', 'o'], ['Cookie', 'c']]; // prettier-ignore
  const edit = { set: [['X-Set', 's']], add: [['Cookie', 'd']], remove: ['x-old'] } as const;
  const head = upstreamRequest({ ...CURL, method: 'POST', fields }, FROM, { ...PASSING, originalPath: '/o', authority: 'in.example', edits: [edit] }, CHUNKED); // prettier-ignore
  assert.equal(head.fields.map(([n]) => n), [
    'host', 'x-request-id', 'x-forwarded-for', 'cookie', 'x-forwarded-proto', 'x-envoy-external-address', 'x-envoy-decorator-operation',
    'x-envoy-peer-metadata-id', 'x-envoy-peer-metadata', 'x-envoy-original-path', 'x-set', 'cookie', 'x-envoy-attempt-count', 'transfer-encoding',
  ]); // prettier-ignore
  assert.equal(head.fields.slice(0, 3), [['host', 'in.example'], ['x-request-id', PASSING.requestId], ['x-forwarded-for', '1.2.3.4,203.0.113.50']]); // prettier-ignore
});

Gateway('clientResponse() keeps the Pod’s order and date, adds its time and server (I1)', () => {
  const fields: Field[] = [['Date', 'Sun, 22 Nov 2026 14:47:51 GMT'], ['Content-Length', '23'], ['Content-Type', 'text/plain; charset=utf-8'], ['Connection', 'keep-alive']]; // prettier-ignore
  const r = clientResponse({ minor: 1, status: 200, reason: 'OK', fields }, ofLength(23), { now: NOW, keep: true, serviceMs: 1, edits: [] }); // prettier-ignore
  assert.equal(lines(responseText(r.head)), [
    'HTTP/1.1 200 OK',
    'date: Sun, 22 Nov 2026 14:47:51 GMT',
    'content-length: 23',
    'content-type: text/plain; charset=utf-8',
    'x-envoy-upstream-service-time: 1',
    'server: istio-envoy',
    '',
    '',
  ]);
});

Gateway('clientResponse() says the status in Envoy’s words, whatever the Pod’s were', () => {
  const said = (status: number, reason: string): string =>
    clientResponse({ minor: 1, status, reason, fields: [] }, ofLength(0), { now: NOW, keep: true, serviceMs: 0, edits: [] }).head.reason; // prettier-ignore
  assert.is(said(413, 'Request Entity Too Large'), 'Payload Too Large');
  assert.is(said(200, 'Fine'), 'OK');
  assert.is(said(418, "I'm a teapot"), 'Unknown');
});

Gateway('clientResponse() has the server in the place of the Pod’s, the coding last', () => {
  const fields: Field[] = [
    ['Server', 'pod/1.0'],
    ['X-A', '1'],
    ['Transfer-Encoding', 'chunked'],
  ];
  const r = clientResponse({ minor: 1, status: 200, reason: 'OK', fields }, CHUNKED, { now: NOW, keep: false, serviceMs: 0, edits: [] }); // prettier-ignore
  assert.equal(r.head.fields.map(([n]) => n), ['server', 'x-a', 'x-envoy-upstream-service-time', 'date', 'connection', 'transfer-encoding']); // prettier-ignore
  assert.is(r.head.fields[0]![1], 'istio-envoy');
});

Gateway('localReply() writes replies as they were seen (I3)', () => {
  const o = { now: NOW, keep: true, method: 'GET' };
  const date = 'date: Sun, 22 Nov 2026 14:47:52 GMT';
  const head = (status: number, more: object): string[] => lines(responseText(localReply(status, { ...o, ...more }).head)).slice(1, -2); // prettier-ignore
  assert.equal(head(404, {}), [date, 'server: istio-envoy', 'content-length: 0']);
  assert.equal(head(404, { method: 'HEAD' }), [date, 'server: istio-envoy', 'transfer-encoding: chunked']);
  assert.equal(head(301, { location: 'https://h/' }), ['location: https://h/', date, 'server: istio-envoy', 'content-length: 0']); // prettier-ignore
  assert.equal(head(503, { body: 'no healthy upstream' }), ['content-length: 19', 'content-type: text/plain', date, 'server: istio-envoy']); // prettier-ignore
});

Gateway('localReply() has Envoy’s phrase for every status that a route may answer with', () => {
  const line = (status: number): string => lines(responseText(localReply(status, { now: NOW, keep: true, method: 'GET' }).head))[0]!; // prettier-ignore
  assert.equal([202, 409, 418, 511].map(line), ['HTTP/1.1 202 Accepted', 'HTTP/1.1 409 Conflict', 'HTTP/1.1 418 Unknown', 'HTTP/1.1 511 Network Authentication Required']); // prettier-ignore
});

Gateway('a time-out is for all tries of a request: it is not retried, a refused connection is', () => {
  const edits = { set: [], add: [], remove: [] };
  const router: Router = {
    decide: (r) => ({
      kind: 'forward', target: r.target, rule: '', from: '', backends: [{ namespace: 'default', service: 'web', port: { name: '', number: 80 }, weight: 1 }],
      istio: { authority: null, originalPath: null, headers: { request: edits, response: edits }, timeoutNs: 1e9, retries: { attempts: 2, retryOn: ['5xx'] } },
    }),
    upstreams: () => [{ address: '10.244.1.2', port: 8080 }],
  }; // prettier-ignore
  const workload = { pod: 'gw', namespace: 'istio-system', deployment: 'gw', labels: {} };
  const d = new IstioController(new FakeIo(), router, { workload, timed: false }).decide(CURL, FROM);
  assert.ok('forward' in d);
  const first = d.forward.next([], null);
  const after = (kind: 'timeout' | 'refused'): unknown => d.forward.next([first!], { kind, errno: 0, reused: false, sent: true }); // prettier-ignore
  assert.equal(after('refused'), endpoint('10.244.1.2', 8080));
  assert.is(after('timeout'), null);
});

Gateway('peerMetadata() is a Struct in base64, as a proxy was seen to send it', () => {
  // What a user of Istio published in November 2024, of a sidecar.
  const seen = 'ChoKCkNMVVNURVJfSUQSDBoKS3ViZXJuZXRlcwrkAQoGTEFCRUxTEtkBKtYBCigKA2FwcBIhGh9kZW1vLWEtcHJvZHVjdGNhdGFsb2dtYW5hZ2VtZW50CkQKH3NlcnZpY2UuaXN0aW8uaW8vY2Fub25pY2FsLW5hbWUSIRofZGVtby1hLXByb2R1Y3RjYXRhbG9nbWFuYWdlbWVudAo/CiNzZXJ2aWNlLmlzdGlvLmlvL2Nhbm9uaWNhbC1yZXZpc2lvbhIYGhZwcm9kdWN0Y2F0YWxvZ2FwaS0wLjIzCiMKB3ZlcnNpb24SGBoWcHJvZHVjdGNhdGFsb2dhcGktMC4yMwosCgROQU1FEiQaImRlbW8tYS1wcm9kY2F0YXBpLTU3ODY4ZjlkN2MtNjdmc2MKGQoJTkFNRVNQQUNFEgwaCmNvbXBvbmVudHMKWAoFT1dORVISTxpNa3ViZXJuZXRlczovL2FwaXMvYXBwcy92MS9uYW1lc3BhY2VzL2NvbXBvbmVudHMvZGVwbG95bWVudHMvZGVtby1hLXByb2RjYXRhcGkKJAoNV09SS0xPQURfTkFNRRITGhFkZW1vLWEtcHJvZGNhdGFwaQ=='; // prettier-ignore
  const labels = {
    version: 'productcatalogapi-0.23',
    app: 'demo-a-productcatalogmanagement',
    'service.istio.io/canonical-name': 'demo-a-productcatalogmanagement',
    'service.istio.io/canonical-revision': 'productcatalogapi-0.23',
  };
  const w = { pod: 'demo-a-prodcatapi-57868f9d7c-67fsc', namespace: 'components', deployment: 'demo-a-prodcatapi', labels }; // prettier-ignore
  assert.is(peerMetadata(w), seen);
  assert.is(peerMetadataId(w, '10.88.3.242'), 'router~10.88.3.242~demo-a-prodcatapi-57868f9d7c-67fsc.components~components.svc.cluster.local'); // prettier-ignore
});

Gateway.run();
