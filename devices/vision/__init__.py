"""From a press to a template: camera and networks in a process of their own, the site's key in this one."""
