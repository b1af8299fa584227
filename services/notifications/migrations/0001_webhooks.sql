-- One endpoint's webhooks in order: GET /webhooks reads the stream of all endpoints by endpoint.
create index messages_by_endpoint on messages (key, version) where stream = 'endpoints-all';
