mod cluster;
mod holes;
mod majority;
mod model;
mod pair;

use cluster::Cluster;
