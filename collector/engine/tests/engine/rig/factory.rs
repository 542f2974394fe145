//! What all factories of the rig have in common.

macro_rules! test_factory {
    ($name:ident, $type_name:literal, $settings:ty, $signals:expr) => {
        test_factory!($name, $type_name, $settings, $signals, |_, _| Change::let_out());
    };
    ($name:ident, $type_name:literal, $settings:ty, $signals:expr, $change:expr $(, pipelines: $pipelines:expr)? $(,)?) => {
        pub(super) struct $name(#[allow(dead_code)] pub(super) Arc<World>);

        impl Factory for $name {
            fn descriptor(&self) -> &Descriptor {
                static SIGNALS: [Support; 3] = $signals;
                static DESCRIPTOR: Descriptor =
                    Descriptor { name: $type_name, aliases: &[], signals: &SIGNALS, module: "test" };
                &DESCRIPTOR
            }

            fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
                parse_settings::<$settings>(section, problems)
            }

            fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
                let change: fn(&$settings, Option<&$settings>) -> Change = $change;
                change(settings_of(old), new.map(settings_of))
            }

            $(
                fn pipelines(&self, settings: &dyn AnySettings) -> Vec<(String, String)> {
                    let pipelines: fn(&$settings) -> Vec<(String, String)> = $pipelines;
                    pipelines(settings_of(settings))
                }
            )?
        }
    };
}
