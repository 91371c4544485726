//! RFC 9457 problem details: the one shape of every error that leaves a service.
