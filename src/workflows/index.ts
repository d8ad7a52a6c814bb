/** Every workflow of the service; the bundle is made of this file. */
export { gdprDeleteMessage } from './gdpr-delete-message';
export { gdprEraseUser } from './gdpr-erase-user';
export { gdprExport } from './gdpr-export';
export { offlineDelivery } from './offline-delivery';
export { readReceiptAggregation } from './read-receipt-aggregation';
export { retention } from './retention';
export { rewrapKeys } from './rewrap-keys';
export { sweep } from './sweep';
