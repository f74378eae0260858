//! What looks after the agents' accounts and files.

use std::sync::Arc;

use launcher_matrix::{MatrixConnector, MatrixMaintenance};
use launcher_runtime::ports::{journal::Journals, maintenance::Maintenance};

/// Looks after the accounts that this connector connects.
pub(crate) fn maintenance(
    connector: &MatrixConnector,
    journals: Arc<dyn Journals>,
) -> Arc<dyn Maintenance> {
    Arc::new(MatrixMaintenance::new(connector, journals))
}
