/**
 * The sidecar: a pod's TCP comes in by 15006 and goes out by 15001, by what the mesh says of the two ends.
 *
 *   peer ─▶ 15006 ─▶ sniff ─▶ [mTLS] ─▶ HTTP or bytes ─▶ from 127.0.0.6 to the pod's own address and port, over lo
 *   application ─▶ 15001 ─▶ sniff ─▶ HTTP or bytes ─▶ [mTLS] ─▶ an endpoint of the Service, or where it was going (PassthroughCluster)
 *
 * Upstream: istiod, listener_inbound.go, listener.go, httproute.go, cluster.go, and the Envoy they configure. Not here: HTTP/2 and gRPC
 * (such ports pass as bytes), AuthorizationPolicy, Sidecar, ServiceEntry and DestinationRule objects, statistics, the health and
 * metrics ports.
 * @module
 */
import { aton } from '../../../wire/inet.js';
import type { Conn, ConnHandler, Endpoint, Io, Layer } from '../../apps/l7/io.js';
import { ClientConn, Proxy } from '../../apps/l7/proxy.js';
import type { Rng } from '../../sim/rng.js';
import { EnvoyController, type HttpRoute } from './envoy-controller.js';
import { balance, inboundPort, type InboundPort, MeshView } from './mesh-view.js';
import type { Mesh } from './mesh.js';
import { INBOUND_PORT, INBOUND_SOURCE, OUTBOUND_PORT } from './redirect.js';
import { Sniffer } from './sniff.js';
import { TcpProxy } from './tcp-proxy.js';

/** What TLS adds to a sidecar; without it everything is plain text. */
export interface MeshTls {
  /** Above a connection of a peer that speaks mTLS. */
  inbound(protocol: 'http' | 'tcp'): Layer;
  /** To an endpoint whose proxy takes mTLS. */
  outbound(sni: string, protocol: 'http' | 'tcp'): Layer;
}

/** ALPN by which sidecars know each other (listener.go). */
const HTTP_ALPN = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'];
const ISTIO_ALPN = ['istio', 'istio-peer-exchange', ...HTTP_ALPN];

const SOURCE = aton(INBOUND_SOURCE)!;

/** One pod's sidecar. */
export class Sidecar {
  private readonly io: Io;
  private readonly tls: MeshTls;
  /** The mesh as it was at the latest connection, of those that know the pod. */
  private view: MeshView;
  private readonly mesh: () => Mesh;
  private readonly me: string;
  private readonly draws: Rng;
  private readonly inboundHttp: Proxy;
  private readonly outboundHttp: Proxy;

  /** `mesh`: as istiod has told it by now; `me`: NAMESPACE/NAME of the pod, which the mesh knows. */
  constructor(io: Io, mesh: () => Mesh, me: string, tls: MeshTls) {
    this.io = io;
    this.tls = tls;
    this.me = me;
    this.mesh = mesh;
    this.view = new MeshView(mesh(), me);
    this.draws = io.rng(`istio ${me} balance`);
    const ids = io.rng(`istio ${me} request-id`);
    const common = { io, ids, me, mesh: () => this.view.mesh };
    this.inboundHttp = new Proxy(io, new EnvoyController({ ...common, side: 'inbound', route: (_r, to) => this.toPod(to) })); // prettier-ignore
    this.outboundHttp = new Proxy(io, new EnvoyController({ ...common, side: 'outbound', route: (host, to) => this.toService(host, to) })); // prettier-ignore
  }

  /** What a port serves: the handler of each connection. */
  accept(port: typeof INBOUND_PORT | typeof OUTBOUND_PORT): (conn: Conn) => ConnHandler {
    return (conn) => {
      const mesh = this.mesh();
      // A pod that has ended is none of the mesh any more; its sidecar keeps what it was told last.
      if (mesh !== this.view.mesh && mesh.workloads[this.me] !== undefined) this.view = new MeshView(mesh, this.me);
      return port === INBOUND_PORT ? this.inbound(conn) : this.outbound(conn);
    };
  }

  private inbound(conn: Conn): ConnHandler {
    const to = conn.originalDst();
    // Somebody who asks for 15006 itself: istiod's blackhole chain.
    if (to.port === INBOUND_PORT) return refused(conn);
    const port = inboundPort(this.view, to.port);
    return new Sniffer(conn, { tls: port.mtls !== 'DISABLE', http: port.protocol === 'auto' }, (s) => {
      const { transport } = s;
      const known = transport.kind === 'tls' && transport.alpn.some((a) => ISTIO_ALPN.includes(a));
      const mtls = transport.kind === 'tls' && (known || port.mtls === 'STRICT');
      if (mtls) return this.inboundMtls(conn, to, port, transport.alpn);
      if (port.mtls === 'STRICT') return null;
      if (transport.kind === 'tls') return port.protocol === 'http' ? null : this.podBytes(conn, to);
      return port.protocol === 'http' || s.http ? this.podHttp(conn, to) : this.podBytes(conn, to);
    });
  }

  private inboundMtls(conn: Conn, to: Endpoint, port: InboundPort, alpn: readonly string[]): ConnHandler {
    const http = port.protocol === 'http' || (port.protocol === 'auto' && alpn.some((a) => HTTP_ALPN.includes(a)));
    const layer = this.tls.inbound(http ? 'http' : 'tcp');
    return layer(conn, (above) => (http ? this.podHttp(above, to) : this.podBytes(above, to)));
  }

  private podHttp = (conn: Conn, to: Endpoint): ConnHandler => new ClientConn(this.inboundHttp, conn, to.port);

  private podBytes = (conn: Conn, to: Endpoint): ConnHandler =>
    new TcpProxy(this.io, conn, { to, options: { source: SOURCE }, layer: null });

  /** The one route of an inbound port: to the application. */
  private toPod(to: Endpoint): HttpRoute {
    const { operation } = inboundPort(this.view, to.port);
    return { operation, endpoints: [to], pick: () => to, source: SOURCE, layer: () => null, pool: `inbound|${to.port}||`, passthrough: false }; // prettier-ignore
  }

  private outbound(conn: Conn): ConnHandler {
    const to = conn.originalDst();
    if (to.port === OUTBOUND_PORT) return refused(conn);
    const target = this.view.target(to);
    const sniff = target.kind === 'http' || (target.kind === 'service' && target.port.protocol !== 'tcp');
    return new Sniffer(conn, { tls: false, http: sniff }, (s) => {
      if (s.http) return new ClientConn(this.outboundHttp, conn, to.port);
      if (target.kind !== 'service') return new TcpProxy(this.io, conn, { to, options: {}, layer: null });
      const e = balance(this.view.endpointsOf(target.port), this.draws, () => 0);
      // No endpoint: Envoy has nowhere to go, and closes.
      if (e === null) return null;
      return new TcpProxy(this.io, conn, { to: e, options: {}, layer: this.layerTo(target.host, target.port.port, e, 'tcp') }); // prettier-ignore
    });
  }

  /** The virtual host of a request: its Service by Host, else where the connection was going. */
  private toService(host: string, to: Endpoint): HttpRoute {
    const found = this.view.route(host, to);
    if (found === null)
      return { operation: null, endpoints: [to], pick: () => to, layer: () => null, pool: 'PassthroughCluster', passthrough: true }; // prettier-ignore
    const endpoints = this.view.endpointsOf(found.port);
    return {
      operation: `${found.host}:${found.port.port}/*`,
      endpoints,
      pick: (active) => balance(endpoints, this.draws, active),
      layer: (e) => this.layerTo(found.host, found.port.port, e, 'http'),
      pool: `outbound|${found.port.port}||${found.host}`,
      passthrough: false,
    };
  }

  private layerTo(host: string, port: number, e: Endpoint, protocol: 'http' | 'tcp'): Layer | null {
    return this.view.takesMtls(e) ? this.tls.outbound(`outbound_.${port}_._.${host}`, protocol) : null;
  }
}

/** A connection that nothing is done with. */
function refused(conn: Conn): ConnHandler {
  conn.reset();
  return { data: () => {}, eof: () => {}, closed: () => {} };
}
