/**
 * Network policies, Kubernetes' own and Calico's, in their own spelling and with their defaults.
 * @module
 */
import type { LabelSelector, ObjectMeta, Protocol } from './types.js';

/** Who may talk: pods of namespaces, or a network without some of its parts. */
export interface NetworkPolicyPeer {
  podSelector: LabelSelector | null;
  namespaceSelector: LabelSelector | null;
  ipBlock: { cidr: string; except: string[] } | null;
}

export interface NetworkPolicyPort {
  protocol: Protocol;
  /** A number or a container port's name; null: every port. */
  port: number | string | null;
  /** The last of the ports from `port` on; null: `port` alone. */
  endPort: number | null;
}

/** One rule; without peers it is about everybody, without ports about all traffic. */
export interface NetworkPolicyRule {
  peers: NetworkPolicyPeer[];
  ports: NetworkPolicyPort[];
}

export type PolicyType = 'Ingress' | 'Egress';

export interface NetworkPolicy {
  kind: 'NetworkPolicy';
  metadata: ObjectMeta;
  spec: {
    podSelector: LabelSelector;
    ingress: NetworkPolicyRule[];
    egress: NetworkPolicyRule[];
    policyTypes: PolicyType[];
  };
}

/** A port as Calico's rules have it: a range, or the name of a container port. */
export type CalicoPort = { first: number; last: number } | { name: string };

/** One side of a rule; empty texts and lists say nothing. */
export interface EntityRule {
  nets: string[];
  notNets: string[];
  selector: string;
  notSelector: string;
  namespaceSelector: string;
  ports: CalicoPort[];
  notPorts: CalicoPort[];
  /** Null: of any service account. */
  serviceAccounts: { names: string[]; selector: string } | null;
}

/** `code` null: every code of the type. */
export interface IcmpFields {
  type: number;
  code: number | null;
}

export interface CalicoRule {
  action: 'Allow' | 'Deny' | 'Log' | 'Pass';
  /** Null: either. */
  ipVersion: 4 | 6 | null;
  /** A number or a lower-case name; null: every protocol. */
  protocol: number | string | null;
  notProtocol: number | string | null;
  icmp: IcmpFields | null;
  notICMP: IcmpFields | null;
  source: EntityRule;
  destination: EntityRule;
  /** metadata.annotations */
  annotations: Record<string, string>;
}

export interface CalicoPolicySpec {
  /** Null: after all that have one. */
  order: number | null;
  selector: string;
  /** Empty in a NetworkPolicy. */
  namespaceSelector: string;
  serviceAccountSelector: string;
  types: PolicyType[];
  ingress: CalicoRule[];
  egress: CalicoRule[];
}

/** NetworkPolicy and GlobalNetworkPolicy of projectcalico.org/v3, or of the CRDs behind it. */
export interface CalicoPolicy {
  kind: 'NetworkPolicy.projectcalico.org' | 'GlobalNetworkPolicy';
  metadata: ObjectMeta;
  /** What it is called in the datastore: `default.NAME`, the tier first. */
  storedName: string;
  spec: CalicoPolicySpec;
}
