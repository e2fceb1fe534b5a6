"""From a button press to a template: camera and networks run in a child process, the site key stays in this one."""
