/** Every workflow of the service; the bundle is made of this file. */
export { gdprExport } from './gdpr-export';
export { offlineDelivery } from './offline-delivery';
export { readReceiptAggregation } from './read-receipt-aggregation';
export { rewrapKeys } from './rewrap-keys';
export { sweep } from './sweep';
