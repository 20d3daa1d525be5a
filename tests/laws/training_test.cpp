#include "laws/law.h"
