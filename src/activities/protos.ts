/** Loading of the `.proto` files, with one set of options for all of them. */
import { join } from 'node:path';
import { loadPackageDefinition } from '@grpc/grpc-js';
import type { GrpcObject, ServiceClientConstructor, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { PackageDefinition } from '@grpc/proto-loader';
import { projectRoot } from '../paths';

/** Field names as in the proto; int64 as numbers: our times and sequence numbers stay below 2^53. */
export function loadProto(file: string): PackageDefinition {
  return loadSync(join(projectRoot(), 'proto', file), {
    keepCase: true,
    longs: Number,
    enums: Number,
    defaults: true,
    includeDirs: [join(projectRoot(), 'proto')],
  });
}

/** The definition of a service, by its full name. */
export function serviceIn(definition: PackageDefinition, name: string): ServiceDefinition {
  let at: unknown = loadPackageDefinition(definition);
  for (const part of name.split('.')) at = (at as GrpcObject)[part];
  if (!at) throw new Error(`the proto has no service ${name}`);
  return (at as ServiceClientConstructor).service;
}
