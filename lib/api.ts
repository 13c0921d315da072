/**
 * podwire as a library: read a Lab or Scenario, run it, take its captures.
 * @module
 */
export { readPcap, writePcap, PcapError, type Pcap, type PcapFrame } from '../wire/pcap.js';
export { compare, differenceText, type Comparison, type Difference } from './capture/compare.js';
export { writeCaptures, PcapWriter } from './capture/pcap-writer.js';
export { readCaptures, type Captures } from './capture/reader.js';
export { compile } from './kube/compile.js';
export { reconcile } from './kube/controllers.js';
export { parseScenario } from './kube/scenario.js';
export { runLab, type LabOptions, type LabRun, type StepResult } from './lab/engine.js';
export { formatLab, parseLab, type Lab } from './lab/lab.js';
export { InputError } from './sim/input-error.js';
