/** A Controller around a Go handler: what net/http does before and after it. @module */
import { ntoa } from '../../../wire/inet.js';
import type { Controller, Downstream } from '../l7/controller.js';
import { GO_CLIENT, goAnswer, goError, goMalformed, goRefusal, NO_UPSTREAM } from '../l7/go.js';
import type { Io } from '../l7/io.js';
import { type Field, type RequestHead, textOf, valueOf } from '../l7/message.js';
import { formValues, targetOf } from './site.js';

/** A request as a handler sees it. */
export interface GoRequest {
  readonly head: RequestHead;
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
  /** Latin-1. */
  readonly body: string;
  /** `address:port` of the client. */
  readonly remote: string;
  readonly host: string;
  /** r.FormValue: of a form in the body, else of the query. */
  form(name: string): string;
}

export interface GoResponse {
  status?: number;
  /** By canonical names. */
  fields?: readonly Field[];
  body?: string;
}

const MAX_BODY = 1 << 20;

/** Serves a handler. Bodies longer than 1 MiB are refused by 413, which real handlers that read them do not do. */
export const goSite = (io: Io, handle: (r: GoRequest) => GoResponse): Controller => ({
  client: GO_CLIENT,
  upstream: NO_UPSTREAM,
  refuse: goRefusal,
  decide: (head, from) => {
    const why = goMalformed(head);
    if (why !== null) return { respond: goError(400, why) };
    return {
      maxBody: MAX_BODY,
      read: (body) => goAnswer(head, from, io.wall(), handle(requestOf(head, from, textOf(body)))),
    };
  },
});

function requestOf(head: RequestHead, from: Downstream, body: string): GoRequest {
  const { path, query } = targetOf(head.target);
  const inQuery = formValues(query);
  const type = (valueOf(head.fields, 'content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  const posted = type === 'application/x-www-form-urlencoded' ? formValues(body) : new Map<string, string>();
  return {
    head, path, query: inQuery, body, remote: `${ntoa(from.peer.address)}:${from.peer.port}`, host: valueOf(head.fields, 'host') ?? '',
    form: (name) => posted.get(name) ?? inQuery.get(name) ?? '',
  }; // prettier-ignore
}
