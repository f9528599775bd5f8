// The service's wire types, as far as this client reads them. Nothing here runs.
export {};
