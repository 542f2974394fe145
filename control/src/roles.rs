//! Who may what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is allowed to do. Whoever edits does not thereby deploy, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything but secrets.
    Viewer,
    /// Also writes configurations.
    Editor,
    /// Sees everything, starts and stops rollouts, assigns groups, gives tasks to agents.
    Deployer,
    /// Everything, users and credentials included.
    Admin,
}

/// A kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Look.
    View,
    /// Write configurations.
    Edit,
    /// Change what agents run.
    Deploy,
    /// Manage users, keys and tokens; read the audit log.
    Administer,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 4] =
        [Permission::View, Permission::Edit, Permission::Deploy, Permission::Administer];
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Editor, Role::Deployer, Role::Admin];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Deployer => "deployer",
            Role::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it includes `permission`.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::View => true,
            Permission::Edit => matches!(self, Role::Editor | Role::Admin),
            Permission::Deploy => matches!(self, Role::Deployer | Role::Admin),
            Permission::Administer => self == Role::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_edit_is_not_to_deploy() {
        use Permission::{Administer, Deploy, Edit, View};
        for (role, allowed) in [
            (Role::Viewer, &[View][..]),
            (Role::Editor, &[View, Edit]),
            (Role::Deployer, &[View, Deploy]),
            (Role::Admin, &[View, Edit, Deploy, Administer]),
        ] {
            for permission in [View, Edit, Deploy, Administer] {
                assert_eq!(role.may(permission), allowed.contains(&permission), "{role:?} {permission:?}");
            }
            assert_eq!(Role::parse(role.name()), Some(role));
        }
    }
}
