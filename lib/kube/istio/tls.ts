/**
 * mTLS between the proxies of a mesh: who they are, whom they believe, what they offer.
 *
 * Upstream: istiod, cluster_tls.go, pilot/pkg/security/authn, the ALPN override filter (istio.alpn), security/pkg/pki. The keys of the
 * mesh come from its seed, the certificate authority's too, which every proxy of podwire makes for itself: the real ones ask istiod
 * over gRPC. The real keys are RSA 2048 unless a pod asks for ECC.
 * @module
 */
import { EPOCH_SEC } from '../../../wire/pcap.js';
import type { Io, Layer } from '../../apps/l7/io.js';
import { tlsClient, tlsServer } from '../../apps/tls/layer.js';
import { randomFrom } from '../../apps/tls/random.js';
import type { Credentials, RandomSource, Verify } from '../../apps/tls/types.js';
import { type Authority, DAY, makeAuthority, workload } from '../../apps/x509/authority.js';
import { O, readCertificate } from '../../apps/x509/certificate.js';
import { verifyChain } from '../../apps/x509/verify.js';
import { Rng } from '../../sim/rng.js';
import { identityOf, type Mesh } from './mesh.js';
import type { MeshTls } from './sidecar.js';

/** How far back a certificate's time begins (DefaultNotBefore of istiod's authority). */
const SKEW = 120;

/** What a client offers (istio.alpn for HTTP/1.1, autoMtls for bytes). */
const CLIENT_ALPN = { http: ['istio-http/1.1', 'istio', 'http/1.1'], tcp: ['istio-peer-exchange', 'istio'] } as const;
/** What a server takes, in its own order. */
const SERVER_ALPN = { http: ['h2', 'http/1.1'], tcp: ['istio-peer-exchange', 'h2', 'http/1.1'] } as const;

/** The mesh's certificate authority: `O=cluster.local`, ten years. */
export const authorityOf = (m: Mesh): Authority =>
  makeAuthority(randomFrom(new Rng(m.seed, 'istio ca')), [[O, m.domain]], { notBefore: EPOCH_SEC - SKEW });

/** A workload's certificate of today, with the authority's behind it, as istiod's answer has it. */
export function credentialsOf(m: Mesh, me: string, ca: Authority, wall: number): Credentials {
  const today = Math.floor(wall / DAY) * DAY - SKEW;
  const own = workload(ca, randomFrom(new Rng(m.seed, `istio certificate ${me}`)), identityOf(m, me), today);
  return { ...own, chain: [...own.chain, ca.certificate] };
}

/** The two sides of mTLS for one proxy. */
export function meshTls(io: Io, mesh: () => Mesh, me: string): MeshTls {
  const ca = authorityOf(mesh());
  const root = readCertificate(ca.certificate)!;
  const credentials = credentialsOf(mesh(), me, ca, io.wall());
  let n = 0;
  // A generator for each connection: equal client randoms would make their keys one.
  const random = (): RandomSource => randomFrom(io.rng(`istio ${me} tls ${n++}`));
  const verify =
    (usage: 'server' | 'client'): Verify =>
    (chain) =>
      verifyChain(chain, { roots: [root], now: io.wall(), usage });
  const keyLog = (line: string): void => io.secret(line);
  return {
    inbound: (protocol): Layer =>
      tlsServer(() => ({
        random: random(), keyLog, choose: () => credentials, alpn: SERVER_ALPN[protocol], alpnMismatch: 'ignore', clientAuth: 'require',
        verify: verify('client'),
      })),
    outbound: (serverName, protocol): Layer =>
      tlsClient(() => ({
        random: random(), keyLog, serverName, alpn: CLIENT_ALPN[protocol], verify: verify('server'), credentials, profile: 'envoy',
      })),
  }; // prettier-ignore
}
