/* A plugin of the compiler that says what it has seen. */
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "tree.h"
#include "function.h"

int plugin_is_GPL_compatible;

static void seen(void *, void *)
{
	fprintf(stderr, "the plugin saw %s\n", main_input_filename);
}

int plugin_init(struct plugin_name_args *info, struct plugin_gcc_version *version)
{
	if (!plugin_default_version_check(version, &gcc_version))
		return 1;
	register_callback(info->base_name, PLUGIN_FINISH_UNIT, seen, NULL);
	return 0;
}
