import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serviceChain } from './hash.js';
import { probability } from './iptables.js';
import { commandsOf, restoreInput, sorted } from './testing.js';

/** Rules of chains whose name matches, in the order written. */
const rules = (text: string, chain: RegExp): string[] =>
  text.split('\n').filter((l) => l.startsWith('-A ') && chain.test(l.split(' ')[1]!));

const slice = (name: string, port: number, endpoints: string, portName = 'p80'): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name.replace('/', '-')}, namespace: ${name.split('/')[0]}, labels: { kubernetes.io/service-name: ${name.split('/')[1]} } }
addressType: IPv4
ports: [ { name: '${portName}', port: ${port} } ]
endpoints: [ ${endpoints} ]
---`;
const service = (name: string, spec: string, status = '{}'): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name.split('/')[1]}, namespace: ${name.split('/')[0]} }
spec: ${spec}
status: ${status}
---`;
/** One Service ns1/svc1 with port 80, and endpoints. */
const one = (spec: string, endpoints: string, status?: string): string =>
  service('ns1/svc1', `{ clusterIP: 172.30.0.41, ports: [ { name: p80, port: 80 } ], ${spec} }`, status) +
  slice('ns1/svc1', 80, endpoints);
const HERE = '{ addresses: [ 10.180.2.1 ], nodeName: node1 }';
const ELSEWHERE = '{ addresses: [ 10.180.0.1 ], nodeName: node2 }';
const SVC1 = 'XPGD46QRK7WJZT7O';

const NODEPORTS =
  '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"';

/** What the real program writes for the five Services below, those of its own unit tests (with other node ports). */
const FIVE = `*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A KUBE-NODEPORTS -m comment --comment "ns2/svc2:p80 health check node port" -m tcp -p tcp --dport 30000 -j ACCEPT
-A KUBE-SERVICES -m comment --comment "ns6/svc6:p80 has no endpoints" -m tcp -p tcp -d 172.30.0.46 --dport 80 -j REJECT
-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints" -m tcp -p tcp -d 192.168.99.22 --dport 80 -j DROP
-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j DROP
-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30001 -j DROP
-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-PROXY-FIREWALL -m comment --comment "ns5/svc5:p80 traffic not accepted by KUBE-FW-NUKIZ6OKUXPJNT4C" -m tcp -p tcp -d 5.6.7.8 --dport 80 -j DROP
COMMIT
*nat
:KUBE-EXT-4SW47YFZTEDKD3PK - [0:0]
:KUBE-EXT-GNZBNJ2PO5MGZ6GT - [0:0]
:KUBE-EXT-NUKIZ6OKUXPJNT4C - [0:0]
:KUBE-EXT-X27LE4BHSL4DOUIK - [0:0]
:KUBE-FW-NUKIZ6OKUXPJNT4C - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-C6EBXVWJJZMIWKLZ - [0:0]
:KUBE-SEP-I77PXRDZVX7PMWMN - [0:0]
:KUBE-SEP-OYPFS5VJICHGATKP - [0:0]
:KUBE-SEP-RS4RBKLTHTF2IUXJ - [0:0]
:KUBE-SEP-SXIVWICOYRO3J4NJ - [0:0]
:KUBE-SEP-UKSFD7AGPMPPLUHC - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-4SW47YFZTEDKD3PK - [0:0]
:KUBE-SVC-GNZBNJ2PO5MGZ6GT - [0:0]
:KUBE-SVC-NUKIZ6OKUXPJNT4C - [0:0]
:KUBE-SVC-X27LE4BHSL4DOUIK - [0:0]
:KUBE-SVC-XPGD46QRK7WJZT7O - [0:0]
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
-A KUBE-NODEPORTS -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 30001 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT
-A KUBE-NODEPORTS -m comment --comment ns3/svc3:p80 -m tcp -p tcp --dport 30003 -j KUBE-EXT-X27LE4BHSL4DOUIK
-A KUBE-NODEPORTS -m comment --comment ns5/svc5:p80 -m tcp -p tcp --dport 30002 -j KUBE-EXT-NUKIZ6OKUXPJNT4C
-A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 cluster IP" -m tcp -p tcp -d 172.30.0.42 --dport 80 -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 external IP" -m tcp -p tcp -d 192.168.99.22 --dport 80 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 loadbalancer IP" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT
-A KUBE-SERVICES -m comment --comment "ns3/svc3:p80 cluster IP" -m tcp -p tcp -d 172.30.0.43 --dport 80 -j KUBE-SVC-X27LE4BHSL4DOUIK
-A KUBE-SERVICES -m comment --comment "ns4/svc4:p80 cluster IP" -m tcp -p tcp -d 172.30.0.44 --dport 80 -j KUBE-SVC-4SW47YFZTEDKD3PK
-A KUBE-SERVICES -m comment --comment "ns4/svc4:p80 external IP" -m tcp -p tcp -d 192.168.99.33 --dport 80 -j KUBE-EXT-4SW47YFZTEDKD3PK
-A KUBE-SERVICES -m comment --comment "ns5/svc5:p80 cluster IP" -m tcp -p tcp -d 172.30.0.45 --dport 80 -j KUBE-SVC-NUKIZ6OKUXPJNT4C
-A KUBE-SERVICES -m comment --comment "ns5/svc5:p80 loadbalancer IP" -m tcp -p tcp -d 5.6.7.8 --dport 80 -j KUBE-FW-NUKIZ6OKUXPJNT4C
${NODEPORTS} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-EXT-4SW47YFZTEDKD3PK -m comment --comment "masquerade traffic for ns4/svc4:p80 external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-4SW47YFZTEDKD3PK -j KUBE-SVC-4SW47YFZTEDKD3PK
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m comment --comment "pod traffic for ns2/svc2:p80 external destinations" -s 10.0.0.0/8 -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m comment --comment "masquerade LOCAL traffic for ns2/svc2:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -m comment --comment "route LOCAL traffic for ns2/svc2:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-GNZBNJ2PO5MGZ6GT
-A KUBE-EXT-NUKIZ6OKUXPJNT4C -m comment --comment "masquerade traffic for ns5/svc5:p80 external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-NUKIZ6OKUXPJNT4C -j KUBE-SVC-NUKIZ6OKUXPJNT4C
-A KUBE-EXT-X27LE4BHSL4DOUIK -m comment --comment "masquerade traffic for ns3/svc3:p80 external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-X27LE4BHSL4DOUIK -j KUBE-SVC-X27LE4BHSL4DOUIK
-A KUBE-FW-NUKIZ6OKUXPJNT4C -m comment --comment "ns5/svc5:p80 loadbalancer IP" -s 203.0.113.0/25 -j KUBE-EXT-NUKIZ6OKUXPJNT4C
-A KUBE-FW-NUKIZ6OKUXPJNT4C -m comment --comment "other traffic to ns5/svc5:p80 will be dropped by KUBE-PROXY-FIREWALL"
-A KUBE-SEP-C6EBXVWJJZMIWKLZ -m comment --comment ns4/svc4:p80 -s 10.180.0.5 -j KUBE-MARK-MASQ
-A KUBE-SEP-C6EBXVWJJZMIWKLZ -m comment --comment ns4/svc4:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.5:80
-A KUBE-SEP-I77PXRDZVX7PMWMN -m comment --comment ns5/svc5:p80 -s 10.180.0.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-I77PXRDZVX7PMWMN -m comment --comment ns5/svc5:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.3:80
-A KUBE-SEP-OYPFS5VJICHGATKP -m comment --comment ns3/svc3:p80 -s 10.180.0.3 -j KUBE-MARK-MASQ
-A KUBE-SEP-OYPFS5VJICHGATKP -m comment --comment ns3/svc3:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.3:80
-A KUBE-SEP-RS4RBKLTHTF2IUXJ -m comment --comment ns2/svc2:p80 -s 10.180.0.2 -j KUBE-MARK-MASQ
-A KUBE-SEP-RS4RBKLTHTF2IUXJ -m comment --comment ns2/svc2:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.2:80
-A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ
-A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80
-A KUBE-SEP-UKSFD7AGPMPPLUHC -m comment --comment ns4/svc4:p80 -s 10.180.0.4 -j KUBE-MARK-MASQ
-A KUBE-SEP-UKSFD7AGPMPPLUHC -m comment --comment ns4/svc4:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.4:80
-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 cluster IP" -m tcp -p tcp -d 172.30.0.44 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 -> 10.180.0.4:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-UKSFD7AGPMPPLUHC
-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 -> 10.180.0.5:80" -j KUBE-SEP-C6EBXVWJJZMIWKLZ
-A KUBE-SVC-GNZBNJ2PO5MGZ6GT -m comment --comment "ns2/svc2:p80 cluster IP" -m tcp -p tcp -d 172.30.0.42 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-GNZBNJ2PO5MGZ6GT -m comment --comment "ns2/svc2:p80 -> 10.180.0.2:80" -j KUBE-SEP-RS4RBKLTHTF2IUXJ
-A KUBE-SVC-NUKIZ6OKUXPJNT4C -m comment --comment "ns5/svc5:p80 cluster IP" -m tcp -p tcp -d 172.30.0.45 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-NUKIZ6OKUXPJNT4C -m comment --comment "ns5/svc5:p80 -> 10.180.0.3:80" -j KUBE-SEP-I77PXRDZVX7PMWMN
-A KUBE-SVC-X27LE4BHSL4DOUIK -m comment --comment "ns3/svc3:p80 cluster IP" -m tcp -p tcp -d 172.30.0.43 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-X27LE4BHSL4DOUIK -m comment --comment "ns3/svc3:p80 -> 10.180.0.3:80" -j KUBE-SEP-OYPFS5VJICHGATKP
-A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
-A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -j KUBE-SEP-SXIVWICOYRO3J4NJ
COMMIT
`;

const Iptables = suite('lib/kube/kube-proxy/iptables');

Iptables('a NodePort Service with three endpoints is written byte for byte as by the real program', () => {
  const input = restoreInput(
    service(
      'default/web',
      '{ type: NodePort, clusterIP: 10.96.0.20, ports: [ { name: http, port: 80, targetPort: 8080, nodePort: 30080 } ] }',
    ) +
      slice(
        'default/web',
        8080,
        '{ addresses: [ 10.244.1.5 ] }, { addresses: [ 10.244.1.12 ] }, { addresses: [ 10.244.2.7 ] }',
        'http',
      ),
    { clusterCIDR: '10.244.0.0/16' },
  );
  assert.fixture(
    input,
    `*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-FIREWALL - [0:0]
-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-SEP-BQ6CYJXGREWSNKJL - [0:0]
:KUBE-SEP-AFGSLHOD2HFNCBX4 - [0:0]
:KUBE-SEP-2RIJ5GIYXEFH6G4D - [0:0]
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
-A KUBE-SERVICES -m comment --comment "default/web:http cluster IP" -m tcp -p tcp -d 10.96.0.20 --dport 80 -j KUBE-SVC-CDGGSHYLG3RE2FKL
-A KUBE-NODEPORTS -m comment --comment default/web:http -m tcp -p tcp --dport 30080 -j KUBE-EXT-CDGGSHYLG3RE2FKL
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http cluster IP" -m tcp -p tcp -d 10.96.0.20 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-EXT-CDGGSHYLG3RE2FKL -m comment --comment "masquerade traffic for default/web:http external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-CDGGSHYLG3RE2FKL -j KUBE-SVC-CDGGSHYLG3RE2FKL
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.244.1.12:8080" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-BQ6CYJXGREWSNKJL
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.244.1.5:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-AFGSLHOD2HFNCBX4
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.244.2.7:8080" -j KUBE-SEP-2RIJ5GIYXEFH6G4D
-A KUBE-SEP-BQ6CYJXGREWSNKJL -m comment --comment default/web:http -s 10.244.1.12 -j KUBE-MARK-MASQ
-A KUBE-SEP-BQ6CYJXGREWSNKJL -m comment --comment default/web:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.12:8080
-A KUBE-SEP-AFGSLHOD2HFNCBX4 -m comment --comment default/web:http -s 10.244.1.5 -j KUBE-MARK-MASQ
-A KUBE-SEP-AFGSLHOD2HFNCBX4 -m comment --comment default/web:http -m tcp -p tcp -j DNAT --to-destination 10.244.1.5:8080
-A KUBE-SEP-2RIJ5GIYXEFH6G4D -m comment --comment default/web:http -s 10.244.2.7 -j KUBE-MARK-MASQ
-A KUBE-SEP-2RIJ5GIYXEFH6G4D -m comment --comment default/web:http -m tcp -p tcp -j DNAT --to-destination 10.244.2.7:8080
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
`,
  );
});
Iptables("probability() is that of Go's Sprintf, whose ties go to the even digit", () => {
  assert.equal([1, 3, 1024, 2048, 4096].map(probability), ['1.0000000000', '0.3333333333', '0.0009765625', '0.0004882812', '0.0002441406']); // prettier-ignore
});
Iptables('five kinds of Services together give the rules of the real program', () => {
  const input = restoreInput(
    service('ns1/svc1', '{ clusterIP: 172.30.0.41, ports: [ { name: p80, port: 80 } ] }') +
      slice('ns1/svc1', 80, '{ addresses: [ 10.180.0.1 ] }') +
      service(
        'ns2/svc2',
        '{ type: LoadBalancer, clusterIP: 172.30.0.42, externalIPs: [ 192.168.99.22 ], externalTrafficPolicy: Local,' +
          ' healthCheckNodePort: 30000, ports: [ { name: p80, port: 80, nodePort: 30001 } ] }',
        '{ loadBalancer: { ingress: [ { ip: 1.2.3.4 } ] } }',
      ) +
      slice('ns2/svc2', 80, '{ addresses: [ 10.180.0.2 ], nodeName: node2 }') +
      service(
        'ns3/svc3',
        '{ type: NodePort, clusterIP: 172.30.0.43, ports: [ { name: p80, port: 80, nodePort: 30003 } ] }',
      ) +
      slice('ns3/svc3', 80, '{ addresses: [ 10.180.0.3 ] }') +
      service(
        'ns4/svc4',
        '{ type: NodePort, clusterIP: 172.30.0.44, externalIPs: [ 192.168.99.33 ], ports: [ { name: p80, port: 80 } ] }',
      ) +
      slice('ns4/svc4', 80, '{ addresses: [ 10.180.0.4 ] }, { addresses: [ 10.180.0.5 ] }') +
      service(
        'ns5/svc5',
        '{ type: LoadBalancer, clusterIP: 172.30.0.45, loadBalancerSourceRanges: [ 203.0.113.0/25 ],' +
          ' ports: [ { name: p80, port: 80, nodePort: 30002 } ] }',
        '{ loadBalancer: { ingress: [ { ip: 5.6.7.8 } ] } }',
      ) +
      slice('ns5/svc5', 80, '{ addresses: [ 10.180.0.3 ] }') +
      service('ns6/svc6', '{ clusterIP: 172.30.0.46, ports: [ { name: p80, port: 80 } ] }'),
  );
  assert.fixture(sorted(input), sorted(FIVE));
});

Iptables('externalTrafficPolicy Local with a local endpoint has both chains, ClusterIP uses every endpoint', () => {
  const nat = restoreInput(
    one('type: NodePort, externalTrafficPolicy: Local, externalIPs: [ 192.168.99.11 ]', `${ELSEWHERE}, ${HERE}`),
  );
  assert.equal(rules(nat, /^KUBE-(SVC|SVL|EXT)-/), [
    `-A KUBE-SVC-${SVC1} -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ`,
    `-A KUBE-EXT-${SVC1} -m comment --comment "pod traffic for ns1/svc1:p80 external destinations" -s 10.0.0.0/8 -j KUBE-SVC-${SVC1}`,
    `-A KUBE-EXT-${SVC1} -m comment --comment "masquerade LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `-A KUBE-EXT-${SVC1} -m comment --comment "route LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-${SVC1}`,
    `-A KUBE-EXT-${SVC1} -j KUBE-SVL-${SVC1}`,
    `-A KUBE-SVC-${SVC1} -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-SXIVWICOYRO3J4NJ`,
    `-A KUBE-SVC-${SVC1} -m comment --comment "ns1/svc1:p80 -> 10.180.2.1:80" -j KUBE-SEP-ZX7GRIZKSNUQ3LAJ`,
    `-A KUBE-SVL-${SVC1} -m comment --comment "ns1/svc1:p80 -> 10.180.2.1:80" -j KUBE-SEP-ZX7GRIZKSNUQ3LAJ`,
  ]);
  assert.match(nat, `:KUBE-SVL-${SVC1} - [0:0]\n:KUBE-SEP-SXIVWICOYRO3J4NJ - [0:0]\n:KUBE-SEP-ZX7GRIZKSNUQ3LAJ`);
});

Iptables('internalTrafficPolicy Local leads the ClusterIP to local endpoints, or drops in filter', () => {
  const here = restoreInput(one('internalTrafficPolicy: Local', `${ELSEWHERE}, ${HERE}`));
  assert.match(here, `"ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVL-${SVC1}\n`);
  assert.equal(rules(here, /^KUBE-SVC-/), []);
  assert.not.match(here, 'SXIVWICOYRO3J4NJ');
  const away = restoreInput(one('internalTrafficPolicy: Local', ELSEWHERE));
  assert.equal(rules(away, /^KUBE-SERVICES/), [
    '-A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 has no local endpoints" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j DROP',
    `${NODEPORTS} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
  ]);
});

Iptables('a Service without endpoints is rejected at every address', () => {
  const input = restoreInput(
    one(
      'type: LoadBalancer, externalIPs: [ 192.168.99.11 ]',
      '',
      '{ loadBalancer: { ingress: [ { ip: 1.2.3.4 } ] } }',
    ).replace('port: 80 }', 'port: 80, nodePort: 30001 }'),
  );
  const none = '-m comment --comment "ns1/svc1:p80 has no endpoints"';
  assert.equal(rules(input, /^KUBE-(EXTERNAL-)?SERVICES/), [
    `-A KUBE-SERVICES ${none} -m tcp -p tcp -d 172.30.0.41 --dport 80 -j REJECT`,
    `-A KUBE-EXTERNAL-SERVICES ${none} -m tcp -p tcp -d 192.168.99.11 --dport 80 -j REJECT`,
    `-A KUBE-EXTERNAL-SERVICES ${none} -m tcp -p tcp -d 1.2.3.4 --dport 80 -j REJECT`,
    `-A KUBE-EXTERNAL-SERVICES ${none} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30001 -j REJECT`,
    `${NODEPORTS} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
  ]);
  assert.not.match(input, SVC1);
});

Iptables('sessionAffinity ClientIP asks the recent list of each endpoint before it draws', () => {
  const nat = restoreInput(
    one(
      'sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 4 } }',
      `${ELSEWHERE}, ${HERE}`,
    ),
  );
  const to = (ip: string): string => `-A KUBE-SVC-${SVC1} -m comment --comment "ns1/svc1:p80 -> ${ip}:80"`;
  const recent = (sep: string): string => `-m recent --name ${sep} --rcheck --seconds 4 --reap -j ${sep}`;
  const [a, b] = ['KUBE-SEP-SXIVWICOYRO3J4NJ', 'KUBE-SEP-ZX7GRIZKSNUQ3LAJ'];
  assert.equal(rules(nat, /^KUBE-(SVC|SEP)-/).slice(1), [
    `${to('10.180.0.1')} ${recent(a)}`,
    `${to('10.180.2.1')} ${recent(b)}`,
    `${to('10.180.0.1')} -m statistic --mode random --probability 0.5000000000 -j ${a}`,
    `${to('10.180.2.1')} -j ${b}`,
    `-A ${a} -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ`,
    `-A ${a} -m comment --comment ns1/svc1:p80 -m recent --name ${a} --set -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80`,
    `-A ${b} -m comment --comment ns1/svc1:p80 -s 10.180.2.1 -j KUBE-MARK-MASQ`,
    `-A ${b} -m comment --comment ns1/svc1:p80 -m recent --name ${b} --set -m tcp -p tcp -j DNAT --to-destination 10.180.2.1:80`,
  ]);
});

Iptables('loadBalancerSourceRanges that hold the node let the load balancer address itself in', () => {
  const status = '{ loadBalancer: { ingress: [ { ip: 1.2.3.4 }, { ip: 1.2.3.5 } ] } }';
  const fw = (ranges: string): string[] =>
    rules(
      restoreInput(one(`type: LoadBalancer, loadBalancerSourceRanges: [ ${ranges} ]`, HERE, status)),
      /^KUBE-(FW-|PROXY-FIREWALL)/,
    ).map((r) => r.replace(/-m comment --comment "[^"]*" ?/, ''));
  const drop = (ip: string): string => `-A KUBE-PROXY-FIREWALL -m tcp -p tcp -d ${ip} --dport 80 -j DROP`;
  const from = (source: string): string => `-A KUBE-FW-${SVC1} -s ${source} -j KUBE-EXT-${SVC1}`;
  const end = `-A KUBE-FW-${SVC1} `;
  assert.equal(fw('203.0.113.0/25'), [drop('1.2.3.4'), drop('1.2.3.5'), from('203.0.113.0/25'), end]);
  assert.equal(fw('203.0.113.0/25, 192.168.0.0/24'), [
    drop('1.2.3.4'), drop('1.2.3.5'), from('203.0.113.0/25'), from('192.168.0.0/24'), from('1.2.3.4'), from('1.2.3.5'), end,
  ]); // prettier-ignore
});

Iptables('the masquerade rule of a ClusterIP follows detectLocalMode and masqueradeAll', () => {
  const head = (config: string, clusterCIDR = '10.0.0.0/8'): string =>
    /^-A KUBE-SVC-\w+ .*--dport 80(.*) -j KUBE-MARK-MASQ$/m.exec(restoreInput(one('', HERE), { config, clusterCIDR }))?.[1] ?? 'none'; // prettier-ignore
  assert.is(head(''), ' ! -s 10.0.0.0/8');
  assert.is(head('clusterCIDR: 10.244.0.0/16'), ' ! -s 10.244.0.0/16');
  assert.is(head("clusterCIDR: ''"), 'none');
  assert.is(head('', ''), 'none');
  assert.is(head('detectLocalMode: NodeCIDR'), ' ! -s 10.0.1.0/24');
  assert.is(head('{ detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 } }'), ' ! -i cni0');
  assert.is(
    head('{ detectLocalMode: InterfaceNamePrefix, detectLocal: { interfaceNamePrefix: veth } }'),
    ' ! -i veth+',
  );
  assert.is(head('iptables: { masqueradeAll: true }'), '');
});

Iptables('without a detector, Local has no short cut for pods', () => {
  const nat = restoreInput(one('type: NodePort, externalTrafficPolicy: Local, externalIPs: [ 192.168.99.11 ]', HERE), {
    config: "clusterCIDR: ''",
  });
  assert.is(rules(nat, /^KUBE-EXT-/).length, 3);
  assert.not.match(nat, 'pod traffic for');
});

Iptables('nodePortAddresses and localhostNodePorts decide what leads to KUBE-NODEPORTS', () => {
  const addresses = ['192.168.0.2', '10.0.1.1'];
  const last = (config: string): string[] =>
    rules(restoreInput(one('', HERE), { config, addresses }), /^KUBE-SERVICES/)
      .slice(1)
      .map((r) => r.replace(`${NODEPORTS} `, ''));
  assert.equal(last(''), ['-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS']);
  assert.equal(last('iptables: { localhostNodePorts: false }'), [
    '-m addrtype --dst-type LOCAL ! -d 127.0.0.0/8 -j KUBE-NODEPORTS',
  ]);
  assert.equal(last('nodePortAddresses: [ 192.168.0.0/24 ]'), ['-d 192.168.0.2 -j KUBE-NODEPORTS']);
  assert.equal(last('nodePortAddresses: [ primary ]'), ['-d 192.168.0.2 -j KUBE-NODEPORTS']);
  assert.equal(last('nodePortAddresses: [ 127.0.0.0/8, 10.0.0.0/8 ]'), [
    '-d 127.0.0.1 -j KUBE-NODEPORTS',
    '-d 10.0.1.1 -j KUBE-NODEPORTS',
  ]);
  const local = commandsOf(one('', HERE));
  assert.match(local, 'sysctl -w net.ipv4.conf.all.route_localnet=1');
  assert.match(local, ':KUBE-FIREWALL - [0:0]');
  const remote = commandsOf(one('', HERE), { config: 'nodePortAddresses: [ 192.168.0.0/24 ]' });
  assert.not.match(remote, 'route_localnet');
  assert.not.match(remote, ':KUBE-FIREWALL - [0:0]');
});

Iptables('an unnamed port, UDP and SCTP go into names, chains and matches', () => {
  for (const proto of ['udp', 'sctp']) {
    const nat = restoreInput(
      service('ns1/svc1', `{ clusterIP: 172.30.0.41, ports: [ { port: 53, protocol: ${proto.toUpperCase()} } ] }`) +
        slice('ns1/svc1', 53, HERE, '').replace('port: 53 }', `port: 53, protocol: ${proto.toUpperCase()} }`),
    );
    const svc = serviceChain('SVC', 'ns1/svc1', proto);
    assert.match(nat, `--comment "ns1/svc1 cluster IP" -m ${proto} -p ${proto} -d 172.30.0.41 --dport 53 -j ${svc}\n`);
    assert.match(nat, `-m comment --comment ns1/svc1 -m ${proto} -p ${proto} -j DNAT --to-destination 10.180.2.1:53`);
  }
});

Iptables('topology hints are followed when every ready endpoint has them, node before zone', () => {
  const ends = (hints: string[], zone: string): string[] => {
    const list = hints.map((h, i) => `{ addresses: [ 10.180.0.${i + 1} ], hints: ${h} }`).join(', ');
    const nat = restoreInput(one('', list), { zone });
    return [...nat.matchAll(/--to-destination (\S+):80/g)].map((m) => m[1]!);
  };
  const a = '{ forZones: [ { name: a } ] }';
  const b = '{ forZones: [ { name: b } ] }';
  assert.equal(ends([a, b], 'a'), ['10.180.0.1']);
  assert.equal(ends([a, b], 'c'), ['10.180.0.1', '10.180.0.2']);
  assert.equal(ends([a, b], ''), ['10.180.0.1', '10.180.0.2']);
  assert.equal(ends([a, '{}'], 'a'), ['10.180.0.1', '10.180.0.2']);
  const here = '{ forZones: [ { name: b } ], forNodes: [ { name: node1 } ] }';
  const there = '{ forZones: [ { name: a } ], forNodes: [ { name: node2 } ] }';
  assert.equal(ends([here, there], 'a'), ['10.180.0.1']);
});

Iptables('terminating endpoints that still serve are used only when none is ready', () => {
  const ready = '{ addresses: [ 10.180.0.1 ] }';
  const draining = '{ addresses: [ 10.180.0.2 ], conditions: { ready: false, serving: true, terminating: true } }';
  const gone = '{ addresses: [ 10.180.0.3 ], conditions: { ready: false, serving: false, terminating: true } }';
  const ends = (...list: string[]): string[] =>
    [...restoreInput(one('', list.join(', '))).matchAll(/--to-destination (\S+):80/g)].map((m) => m[1]!);
  assert.equal(ends(ready, draining, gone), ['10.180.0.1']);
  assert.equal(ends(draining, gone), ['10.180.0.2']);
  assert.equal(ends(gone), []);
});

Iptables('more than a thousand endpoints leave the comments of endpoint rules out', () => {
  const some = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, k) => `{ addresses: [ 10.1.${(from + k) >> 8}.${(from + k) & 255} ] }`).join(
      ', ',
    );
  const more = slice('ns1/svc1', 80, some(1000, 1001)).replace('name: ns1-svc1', 'name: ns1-svc1-more');
  const nat = restoreInput(one('', some(0, 1000)) + more);
  const svc = rules(nat, /^KUBE-SVC-/);
  assert.is(svc.length, 1002);
  assert.match(svc[1]!, /^-A KUBE-SVC-\w+ -m statistic --mode random --probability 0\.0009990010 -j KUBE-SEP-\w+$/);
  assert.match(rules(nat, /^KUBE-SEP-/)[0]!, /^-A KUBE-SEP-\w+ -s 10\.1\.\d+\.\d+ -j KUBE-MARK-MASQ$/);
});

Iptables('tcpBeLiberal keeps INVALID packets, masqueradeBit moves the mark', () => {
  const forward = (config: string): string => rules(restoreInput(one('', HERE), { config }), /^KUBE-FORWARD/)[0]!;
  assert.is(forward(''), '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP');
  assert.match(
    forward('conntrack: { tcpBeLiberal: true }'),
    '"kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000',
  );
  assert.match(
    forward('{ conntrack: { tcpBeLiberal: true }, iptables: { masqueradeBit: 15 } }'),
    '--mark 0x00008000/0x00008000 -j ACCEPT',
  );
});

Iptables('headless Services and ExternalName have no rules, ipMode Proxy hides an address', () => {
  const nat = restoreInput(
    service('ns1/a', '{ clusterIP: None, ports: [ { name: p80, port: 80 } ] }') +
      service('ns1/b', '{ type: ExternalName, externalName: example.org }') +
      one(
        'type: LoadBalancer',
        HERE,
        '{ loadBalancer: { ingress: [ { ip: 1.2.3.4, ipMode: Proxy }, { ip: 1.2.3.5 } ] } }',
      ),
  );
  assert.is(rules(nat, /^KUBE-SERVICES/).length, 3);
  assert.match(nat, '-d 1.2.3.5 --dport 80');
  assert.not.match(nat, '1.2.3.4');
});
Iptables('a source range of length 0 allows everybody, whatever stands beside it', () => {
  const lb = (ranges: string): string => `
apiVersion: v1
kind: Service
metadata: { name: lb, namespace: ns1 }
spec: { type: LoadBalancer, clusterIP: 172.30.0.41, loadBalancerSourceRanges: ${ranges}, ports: [ { port: 80 } ] }
status: { loadBalancer: { ingress: [ { ip: 5.6.7.8 } ] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: lb-1, namespace: ns1, labels: { kubernetes.io/service-name: lb } }
addressType: IPv4
ports: [ { name: '', port: 80 } ]
endpoints: [ { addresses: [ 10.180.0.1 ] } ]
`;
  assert.is(restoreInput(lb('[ 203.0.113.0/25, 0.0.0.0/0 ]')), restoreInput(lb('[]')));
  assert.match(restoreInput(lb('[ 203.0.113.0/25 ]')), /KUBE-PROXY-FIREWALL -m comment/);
});
Iptables('an address given twice counts once: the local entry, else the first; a missing condition is true', () => {
  const two = (a: string, b: string): string => `
apiVersion: v1
kind: Service
metadata: { name: s, namespace: ns1 }
spec: { type: ClusterIP, internalTrafficPolicy: Local, clusterIP: 172.30.0.41, ports: [ { port: 80 } ] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: s-1, namespace: ns1, labels: { kubernetes.io/service-name: s } }
addressType: IPv4
ports: [ { name: '', port: 80 } ]
endpoints: [ { addresses: [ 10.180.0.1 ], ${a} }, { addresses: [ 10.180.0.1 ], ${b} } ]
`;
  const local = 'nodeName: node1, conditions: { ready: false, terminating: true }';
  assert.match(restoreInput(two(local, 'nodeName: node2')), /-A KUBE-SVL-\w+ .* -j KUBE-SEP-/);
  assert.match(restoreInput(two('nodeName: node2', local)), /-A KUBE-SVL-\w+ .* -j KUBE-SEP-/);
  const gone = 'nodeName: node2, conditions: { ready: false, serving: false }';
  assert.match(restoreInput(two(gone, 'nodeName: node2')), /"ns1\/s has no endpoints"/);
});
Iptables.run();
