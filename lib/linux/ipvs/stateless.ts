/** What a scheduler does that keeps nothing of its service (no init_service, add_dest and the like). */
import type { Dest, Service } from './service.js';

export abstract class Stateless {
  init(_svc: Service): void {}
  done(): void {}
  added(_svc: Service): void {}
  edited(_svc: Service): void {}
  removed(_svc: Service, _d: Dest, _index: number): void {}
}
