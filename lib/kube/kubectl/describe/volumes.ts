/**
 * Volumes of a pod as describe shows them.
 * @module
 */
import { at, int, type JsonMap, list, map, str } from '../json.js';
import { sortedKeys } from '../go-values.js';
import { parseQuantity } from '../../api/quantity.js';
import type { Writer } from '../writer.js';

const bool = (o: JsonMap, k: string): string => String(o[k] === true);

function projected(w: Writer, v: JsonMap): void {
  w.line(2, 'Type:', 'Projected (a volume that contains injected data from multiple sources)');
  for (const s of list(v, 'sources')) {
    if (at(s, 'secret') !== undefined) named(w, 'SecretName:', map(s, 'secret'));
    else if (at(s, 'downwardAPI') !== undefined) w.line(2, 'DownwardAPI:', 'true');
    else if (at(s, 'configMap') !== undefined) named(w, 'ConfigMapName:', map(s, 'configMap'));
    else if (at(s, 'serviceAccountToken') !== undefined)
      w.line(2, 'TokenExpirationSeconds:', String(int(s, 'serviceAccountToken.expirationSeconds')));
  }
}

function named(w: Writer, title: string, s: JsonMap): void {
  w.line(2, title, str(s, 'name'));
  w.line(2, 'Optional:', bool(s, 'optional'));
}

function downward(w: Writer, v: JsonMap): void {
  w.line(2, 'Type:', 'DownwardAPI (a volume populated by information about the pod)');
  w.line(2, 'Items:');
  for (const i of list(v, 'items')) {
    if (at(i, 'fieldRef') !== undefined) w.line(3, `${str(i, 'fieldRef.fieldPath')} -> ${str(i, 'path')}`);
    if (at(i, 'resourceFieldRef') !== undefined)
      w.line(3, `${str(i, 'resourceFieldRef.resource')} -> ${str(i, 'path')}`);
  }
}

function csi(w: Writer, v: JsonMap): void {
  w.line(2, 'Type:', 'CSI (a Container Storage Interface (CSI) volume source)');
  w.line(2, 'Driver:', str(v, 'driver'));
  w.line(2, 'FSType:', str(v, 'fsType'));
  w.line(2, 'ReadOnly:', bool(v, 'readOnly'));
  const attributes = map(v, 'volumeAttributes');
  w.put(2, 'VolumeAttributes:\t');
  if (Object.keys(attributes).length === 0) w.put(0, '<none>\n');
  sortedKeys(attributes).forEach((k, i) => w.put(i === 0 ? 0 : 2, `${i === 0 ? '' : '\t'}${k}=${String(attributes[k])}\n`)); // prettier-ignore
}

const SOURCES: Record<string, (w: Writer, v: JsonMap) => void> = {
  hostPath: (w, v) => {
    w.line(2, 'Type:', 'HostPath (bare host directory volume)');
    w.line(2, 'Path:', str(v, 'path'));
    w.line(2, 'HostPathType:', at(v, 'type') === undefined ? '<none>' : str(v, 'type'));
  },
  emptyDir: (w, v) => {
    const limit = parseQuantity(str(v, 'sizeLimit') || '0');
    w.line(2, 'Type:', "EmptyDir (a temporary directory that shares a pod's lifetime)");
    w.line(2, 'Medium:', str(v, 'medium'));
    w.line(2, 'SizeLimit:', limit !== null && limit.nanos > 0n ? str(v, 'sizeLimit') : '<unset>');
  },
  secret: (w, v) => {
    w.line(2, 'Type:', 'Secret (a volume populated by a Secret)');
    w.line(2, 'SecretName:', str(v, 'secretName'));
    w.line(2, 'Optional:', bool(v, 'optional'));
  },
  configMap: (w, v) => {
    w.line(2, 'Type:', 'ConfigMap (a volume populated by a ConfigMap)');
    w.line(2, 'Name:', str(v, 'name'));
    w.line(2, 'Optional:', bool(v, 'optional'));
  },
  nfs: (w, v) => {
    w.line(2, 'Type:', 'NFS (an NFS mount that lasts the lifetime of a pod)');
    w.line(2, 'Server:', str(v, 'server'));
    w.line(2, 'Path:', str(v, 'path'));
    w.line(2, 'ReadOnly:', bool(v, 'readOnly'));
  },
  persistentVolumeClaim: (w, v) => {
    w.line(2, 'Type:', 'PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)');
    w.line(2, 'ClaimName:', str(v, 'claimName'));
    w.line(2, 'ReadOnly:', bool(v, 'readOnly'));
  },
  downwardAPI: downward,
  projected,
  csi,
};

/** describeVolumes; in a template, `indent` is two blanks. Sources that are not listed here read `<unknown>`. */
export function volumes(w: Writer, all: JsonMap[], indent: string): void {
  if (all.length === 0) return w.line(0, `${indent}Volumes:`, '<none>');
  w.line(0, `${indent}Volumes:`);
  for (const v of all) {
    w.line(1, `${indent === '' ? '' : ' '}${str(v, 'name')}:`);
    const source = Object.keys(SOURCES).find((k) => at(v, k) !== undefined);
    if (source === undefined) w.line(1, '<unknown>');
    else SOURCES[source]!(w, map(v, source));
  }
}
