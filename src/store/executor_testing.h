// The executor of tests whose time the test moves, for those above store/. Tests only.
#pragma once

#include "env/disk_testing.h"
