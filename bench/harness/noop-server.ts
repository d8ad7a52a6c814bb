/** The floor: a grpc-js server with the same proto that does nothing. Argument: port. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData } from '@grpc/grpc-js';
import { loadProto, serviceIn } from '../../src/activities/protos';

const server = new Server();
const answer = { success: true, status: 'delivered', sequence_number: 1, error_message: '' };
server.addService(serviceIn(loadProto('api/v1/im.proto'), 'im.v1.IMService'), {
  RoutePrivateMessage: (_: unknown, callback: sendUnaryData<object>) => callback(null, answer),
});
server.bindAsync(`127.0.0.1:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.stdout.write('ready\n');
});
