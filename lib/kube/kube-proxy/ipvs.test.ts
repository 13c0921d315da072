import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commandsOf, restoreInput } from './testing.js';

/** A web Service with everything, a UDP one with externalTrafficPolicy Local; node1 has three of the five endpoints. */
const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: LoadBalancer, clusterIP: 10.96.0.20, externalIPs: [ 198.51.100.9, 192.168.0.2 ], sessionAffinity: ClientIP, loadBalancerSourceRanges: [ 203.0.113.0/25 ], ports: [ { name: http, port: 80, targetPort: 8080, nodePort: 30080 } ] }
status: { loadBalancer: { ingress: [ { ip: 198.51.100.7 } ] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [ { name: http, port: 8080 } ]
endpoints: [ { addresses: [ 10.244.1.5 ], nodeName: node1 }, { addresses: [ 10.244.1.12 ], nodeName: node1 }, { addresses: [ 10.244.2.7 ], nodeName: node2 } ]
---
apiVersion: v1
kind: Service
metadata: { name: dns, namespace: kube-system }
spec: { type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000, clusterIP: 10.96.0.10, ports: [ { name: dns, port: 53, protocol: UDP, nodePort: 30053 } ] }
status: { loadBalancer: { ingress: [ { ip: 198.51.100.8 } ] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: dns, namespace: kube-system, labels: { kubernetes.io/service-name: dns } }
addressType: IPv4
ports: [ { name: dns, port: 53, protocol: UDP } ]
endpoints: [ { addresses: [ 10.244.1.9 ], nodeName: node1 }, { addresses: [ 10.244.2.9 ], nodeName: node2 } ]
`;

/** What follows the sysctls, chains and jumps: device, sets, virtual servers, entries, rules. */
const COMMANDS = `ip link add kube-ipvs0 type dummy
ipset create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-EXTERNAL-IP hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-EXTERNAL-IP-LOCAL hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-LOAD-BALANCER hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-LOAD-BALANCER-FW hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-LOAD-BALANCER-LOCAL hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-LOAD-BALANCER-SOURCE-IP hash:ip,port,ip family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-NODE-PORT-TCP bitmap:port range 0-65535 -exist
ipset create KUBE-NODE-PORT-LOCAL-TCP bitmap:port range 0-65535 -exist
ipset create KUBE-NODE-PORT-UDP bitmap:port range 0-65535 -exist
ipset create KUBE-NODE-PORT-LOCAL-UDP bitmap:port range 0-65535 -exist
ipset create KUBE-NODE-PORT-SCTP-HASH hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-NODE-PORT-LOCAL-SCTP-HASH hash:ip,port family inet hashsize 1024 maxelem 65536 -exist
ipset create KUBE-HEALTH-CHECK-NODE-PORT bitmap:port range 0-65535 -exist
ipset create KUBE-IPVS-IPS hash:ip family inet hashsize 1024 maxelem 65536 -exist
ipvsadm -A -u 10.96.0.10:53 -s rr
ip addr add 10.96.0.10/32 dev kube-ipvs0
ipvsadm -a -u 10.96.0.10:53 -r 10.244.1.9:53 -m -w 1
ipvsadm -a -u 10.96.0.10:53 -r 10.244.2.9:53 -m -w 1
ipvsadm -A -u 198.51.100.8:53 -s rr
ip addr add 198.51.100.8/32 dev kube-ipvs0
ipvsadm -a -u 198.51.100.8:53 -r 10.244.1.9:53 -m -w 1
ipvsadm -A -u 192.168.0.2:30053 -s rr
ipvsadm -a -u 192.168.0.2:30053 -r 10.244.1.9:53 -m -w 1
ipvsadm -A -u 10.244.1.1:30053 -s rr
ipvsadm -a -u 10.244.1.1:30053 -r 10.244.1.9:53 -m -w 1
ipvsadm -A -t 10.96.0.20:80 -s rr -p 10800
ip addr add 10.96.0.20/32 dev kube-ipvs0
ipvsadm -a -t 10.96.0.20:80 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 10.96.0.20:80 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 10.96.0.20:80 -r 10.244.2.7:8080 -m -w 1
ipvsadm -A -t 198.51.100.9:80 -s rr -p 10800
ip addr add 198.51.100.9/32 dev kube-ipvs0
ipvsadm -a -t 198.51.100.9:80 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 198.51.100.9:80 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 198.51.100.9:80 -r 10.244.2.7:8080 -m -w 1
ipvsadm -A -t 192.168.0.2:80 -s rr -p 10800
ipvsadm -a -t 192.168.0.2:80 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 192.168.0.2:80 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 192.168.0.2:80 -r 10.244.2.7:8080 -m -w 1
ipvsadm -A -t 198.51.100.7:80 -s rr -p 10800
ip addr add 198.51.100.7/32 dev kube-ipvs0
ipvsadm -a -t 198.51.100.7:80 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 198.51.100.7:80 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 198.51.100.7:80 -r 10.244.2.7:8080 -m -w 1
ipvsadm -A -t 192.168.0.2:30080 -s rr -p 10800
ipvsadm -a -t 192.168.0.2:30080 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 192.168.0.2:30080 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 192.168.0.2:30080 -r 10.244.2.7:8080 -m -w 1
ipvsadm -A -t 10.244.1.1:30080 -s rr -p 10800
ipvsadm -a -t 10.244.1.1:30080 -r 10.244.1.12:8080 -m -w 1
ipvsadm -a -t 10.244.1.1:30080 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 10.244.1.1:30080 -r 10.244.2.7:8080 -m -w 1
ipset add KUBE-LOOP-BACK 10.244.1.12,tcp:8080,10.244.1.12 -exist
ipset add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5 -exist
ipset add KUBE-LOOP-BACK 10.244.1.9,udp:53,10.244.1.9 -exist
ipset add KUBE-CLUSTER-IP 10.96.0.10,udp:53 -exist
ipset add KUBE-CLUSTER-IP 10.96.0.20,tcp:80 -exist
ipset add KUBE-EXTERNAL-IP 192.168.0.2,tcp:80 -exist
ipset add KUBE-EXTERNAL-IP 198.51.100.9,tcp:80 -exist
ipset add KUBE-LOAD-BALANCER 198.51.100.7,tcp:80 -exist
ipset add KUBE-LOAD-BALANCER 198.51.100.8,udp:53 -exist
ipset add KUBE-LOAD-BALANCER-FW 198.51.100.7,tcp:80 -exist
ipset add KUBE-LOAD-BALANCER-LOCAL 198.51.100.8,udp:53 -exist
ipset add KUBE-LOAD-BALANCER-SOURCE-CIDR 198.51.100.7,tcp:80,203.0.113.0/25 -exist
ipset add KUBE-NODE-PORT-TCP 30080 -exist
ipset add KUBE-NODE-PORT-UDP 30053 -exist
ipset add KUBE-NODE-PORT-LOCAL-UDP 30053 -exist
ipset add KUBE-HEALTH-CHECK-NODE-PORT 32000 -exist
ipset add KUBE-IPVS-IPS 10.96.0.10 -exist
ipset add KUBE-IPVS-IPS 10.96.0.20 -exist
ipset add KUBE-IPVS-IPS 198.51.100.7 -exist
ipset add KUBE-IPVS-IPS 198.51.100.8 -exist
ipset add KUBE-IPVS-IPS 198.51.100.9 -exist
iptables-restore -w 5 -W 100000 --noflush --counters <<'EOF'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-LOAD-BALANCER -m comment --comment "Kubernetes service load balancer ip + port with externalTrafficPolicy=local" -m set --match-set KUBE-LOAD-BALANCER-LOCAL dst,dst -j RETURN
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p udp -m comment --comment "Kubernetes nodeport UDP port with externalTrafficPolicy=local" -m set --match-set KUBE-NODE-PORT-LOCAL-UDP dst -j RETURN
-A KUBE-NODE-PORT -p udp -m comment --comment "Kubernetes nodeport UDP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-UDP dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" -m set --match-set KUBE-EXTERNAL-IP dst,dst -m addrtype --dst-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
-A KUBE-PROXY-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port for load balancer with sourceRange" -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL
-A KUBE-SOURCE-RANGES-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port + source cidr for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
-A KUBE-IPVS-OUT-FILTER -s 198.51.100.7 -m ipvs --vaddr 198.51.100.7 --vproto tcp --vport 80 -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT
COMMIT
EOF
`;

const at = (config: string, manifests = SERVICES): string =>
  commandsOf(manifests, { config, clusterCIDR: '10.244.0.0/16', addresses: ['192.168.0.2', '10.244.1.1'] }).replaceAll(
    'ip netns exec node1 ',
    '',
  );

const Ipvs = suite('lib/kube/kube-proxy/ipvs');

Ipvs('sync() writes device, sets, virtual servers and rules of IPVS mode', () => {
  assert.fixture(at('mode: ipvs').replace(/^[^]*?(?=ip link add kube-ipvs0)/, ''), COMMANDS);
});

Ipvs('sync() sets what IPVS mode needs before it makes chains', () => {
  const before = at('{ mode: ipvs, ipvs: { strictARP: true, tcpTimeout: 15m, udpTimeout: 500s } }').split('\n');
  assert.equal(
    before.slice(
      0,
      before.findIndex((l) => l.startsWith('iptables ')),
    ),
    [
      'sysctl -w net.ipv4.vs.conntrack=1',
      'sysctl -w net.ipv4.vs.expire_nodest_conn=1',
      'sysctl -w net.ipv4.vs.expire_quiescent_template=1',
      'sysctl -w net.ipv4.ip_forward=1',
      'sysctl -w net.ipv4.conf.all.arp_ignore=1',
      'sysctl -w net.ipv4.conf.all.arp_announce=2',
      'sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400',
      'sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600',
      'ipvsadm --set 900 0 500',
    ],
  );
});

Ipvs('source ranges that hold the node let the load balancer address in, and nothing is dropped on the way out', () => {
  const text = at('mode: ipvs', SERVICES.replace('203.0.113.0/25', '203.0.113.0/25, 192.168.0.0/24'));
  assert.match(text, 'ipset add KUBE-LOAD-BALANCER-SOURCE-IP 198.51.100.7,tcp:80,198.51.100.7 -exist\n');
  assert.match(
    text,
    '-A KUBE-SOURCE-RANGES-FIREWALL -m comment --comment "Kubernetes service load balancer ip + port + source IP for packet filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN\n',
  );
  assert.not.match(text, '-m ipvs');
});

Ipvs('the masquerade rule of ClusterIPs follows masqueradeAll and the detector', () => {
  const rule = (config: string): string => /KUBE-CLUSTER-IP (\S+ .*)-j KUBE-MARK-MASQ/.exec(at(config))![1]!;
  assert.is(rule('mode: ipvs'), 'dst,dst ! -s 10.244.0.0/16 ');
  assert.is(rule('{ mode: ipvs, iptables: { masqueradeAll: true } }'), 'dst,dst ');
  assert.is(rule("{ mode: ipvs, clusterCIDR: '' }"), 'src,dst ');
});

Ipvs('Local without a local endpoint falls back to every endpoint, unless nothing else uses them', () => {
  const away = SERVICES.replaceAll('nodeName: node1', 'nodeName: node2');
  assert.match(at('mode: ipvs', away), 'ipvsadm -a -u 192.168.0.2:30053 -r 10.244.1.9:53 -m -w 1\n');
  const internal = away
    .replace(
      'type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000',
      'internalTrafficPolicy: Local',
    )
    .replace(', nodePort: 30053', '')
    .replace('{ loadBalancer: { ingress: [ { ip: 198.51.100.8 } ] } }', '{}');
  assert.match(at('mode: ipvs', internal), 'ipvsadm -A -u 10.96.0.10:53 -s rr\n');
  assert.not.match(at('mode: ipvs', internal), 'ipvsadm -a -u');
});

Ipvs('nodePortAddresses, the scheduler and SCTP go into the virtual servers', () => {
  const text = at('{ mode: ipvs, nodePortAddresses: [ 10.0.0.0/8 ], ipvs: { scheduler: mh } }');
  assert.match(text, 'ipvsadm -A -t 10.244.1.1:30080 -s mh -p 10800 -b mh-port\n');
  assert.not.match(text, '192.168.0.2:30080');
  const sctp = at('mode: ipvs', SERVICES.replaceAll('protocol: UDP', 'protocol: SCTP'));
  assert.match(sctp, 'ipvsadm -A --sctp-service 10.96.0.10:53 -s rr\n');
  assert.match(sctp, 'ipset add KUBE-NODE-PORT-LOCAL-SCTP-HASH 10.244.1.1,sctp:30053 -exist\n');
  assert.match(
    sctp,
    '-A KUBE-NODE-PORT -p sctp -m comment --comment "Kubernetes nodeport SCTP port for masquerade purpose with type \'hash ip:port\'" -m set --match-set KUBE-NODE-PORT-SCTP-HASH dst,dst -j KUBE-MARK-MASQ\n',
  );
});

Ipvs('empty sets have no rules, except those that are always written', () => {
  const nat = restoreInput('', { config: 'mode: ipvs' });
  assert.is(nat.split('\n').filter((l) => l.startsWith('-A')).length, 17);
});
Ipvs('without a node address a NodePort Service loses its NodePort and its health check port', () => {
  const config = 'mode: ipvs\nnodePortAddresses: [ 10.99.0.0/16 ]';
  assert.match(commandsOf(SERVICES, { config: 'mode: ipvs' }), /ipset add KUBE-HEALTH-CHECK-NODE-PORT 32000 -exist/);
  assert.not.match(commandsOf(SERVICES, { config }), /KUBE-HEALTH-CHECK-NODE-PORT 32000|:30053|:30080/);
});
Ipvs.run();
